package io.lancetorch.lance;

import io.lancetorch.bindings.lance.ArrowSchema;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/**
 * The release functions of Arrow structs whose memory an arena frees. Arrow takes a struct without one for released; a callee
 * that borrows the struct never calls it.
 */
final class BorrowedArrow {
    static final MemorySegment RELEASE = stub("nothing");
    /** Of an {@code ArrowSchema} that may also be given away: it says so in the struct that it has run. */
    static final MemorySegment SCHEMA_RELEASE = stub("markReleased");

    private BorrowedArrow() {}

    private static MemorySegment stub(String method) {
        try {
            return Linker.nativeLinker()
                    .upcallStub(
                            MethodHandles.lookup()
                                    .findStatic(
                                            BorrowedArrow.class,
                                            method,
                                            MethodType.methodType(void.class, MemorySegment.class)),
                            FunctionDescriptor.ofVoid(ValueLayout.ADDRESS),
                            Arena.global());
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    @SuppressWarnings("unused") // called by native code
    private static void nothing(MemorySegment struct) {}

    @SuppressWarnings("unused") // called by native code
    private static void markReleased(MemorySegment schema) {
        ArrowSchema.release(schema.reinterpret(ArrowSchema.sizeof()), MemorySegment.NULL);
    }
}
