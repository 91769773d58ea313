package io.lancetorch.tensor;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.lancetorch.bindings.torch.torch_h;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.NotFoundException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * One overload of one ATen operator, looked up once. Any of the two thousand can be called through it, with the arguments
 * that its {@link #schema} names; {@link Ops} has Java names for the common ones.
 *
 * <pre>{@code
 * static final Op GELU = Op.find("aten::gelu", "");
 * Tensor y = GELU.call(x, "tanh");
 * }</pre>
 *
 * Any thread may call an Op.
 */
public final class Op {
    /** Stands for an argument's default where a later one is given. */
    public static final Object DEFAULT = new Default();

    static final class Default {
        private Default() {}

        @Override
        public String toString() {
            return "Op.DEFAULT";
        }
    }

    final String name;
    private final String base;
    private final String overload;
    private MemorySegment handle;

    private Op(String base, String overload) {
        this.base = base;
        this.overload = overload;
        name = overload.isEmpty() ? base : base + "." + overload;
    }

    /**
     * Looks up an operator by name, such as {@code aten::add}, and overload, such as {@code Tensor}, or "" for the one
     * without a name.
     *
     * @throws NotFoundException where there is none; the message lists the overloads that there are
     */
    public static Op find(String name, String overload) {
        Op op = new Op(name, overload);
        op.handle();
        return op;
    }

    /** As {@link #find}, but looked up at the first call, so that a class of constants opens no library. */
    static Op lazy(String name, String overload) {
        return new Op(name, overload);
    }

    /** Threads that come here at once find the same handle. */
    MemorySegment handle() {
        MemorySegment found = handle;
        if (found == null) {
            Native frame = Native.get();
            try (Arena arena = Arena.ofConfined()) {
                frame.check(torch_h.lt_op_find(
                        arena.allocateFrom(base), arena.allocateFrom(overload), frame.out, frame.error));
            }
            found = MemorySegment.ofAddress(frame.out.get(JAVA_LONG, 0));
            handle = found;
        }
        return found;
    }

    /** The schema as ATen writes it, such as {@code aten::relu(Tensor self) -> Tensor}. */
    public String schema() {
        return torch_h.lt_op_schema(handle()).getString(0);
    }

    /**
     * Calls the operator and returns its one tensor, which the current scope owns. Arguments follow the schema's order;
     * missing ones at the end take their defaults. They may be {@link Tensor}, {@code Integer}, {@code Long},
     * {@code Float}, {@code Double}, {@code Boolean}, {@code String}, {@code int[]}, {@code long[]}, {@code double[]},
     * {@code boolean[]}, {@code Tensor[]}, {@link DType}, {@link Device}, {@link MemoryFormat}, {@link #DEFAULT}, or null
     * for None.
     *
     * @throws InvalidArgumentException where an argument does not fit the schema, or shapes or dtypes do not match
     */
    public Tensor call(Object... arguments) {
        return prepare(arguments).call(this);
    }

    /**
     * As {@link #call}, for any number of results: {@link Tensor}, {@code Tensor[]}, {@code Long}, {@code Double},
     * {@code Boolean}, or null for an undefined tensor.
     */
    public Object[] callAll(Object... arguments) {
        return prepare(arguments).callAll(this);
    }

    private Native prepare(Object[] arguments) {
        Native frame = Native.get().begin();
        for (Object argument : arguments) {
            frame.any(this, argument);
        }
        return frame;
    }

    @Override
    public String toString() {
        return name;
    }
}
