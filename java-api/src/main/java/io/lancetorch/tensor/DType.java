package io.lancetorch.tensor;

import io.lancetorch.error.UnsupportedException;

/** The type of a tensor's elements, with the codes of {@code c10::ScalarType}. */
public enum DType {
    UINT8(0, 1),
    INT8(1, 1),
    INT16(2, 2),
    INT32(3, 4),
    INT64(4, 8),
    FLOAT16(5, 2),
    FLOAT32(6, 4),
    FLOAT64(7, 8),
    BOOL(11, 1),
    BFLOAT16(15, 2),
    /** Like the two below stored, copied and converted by libtorch, but with few operators. */
    UINT16(27, 2),
    UINT32(28, 4),
    UINT64(29, 8);

    private static final DType[] BY_CODE = new DType[32];

    static {
        for (DType dtype : values()) {
            BY_CODE[dtype.code] = dtype;
        }
    }

    private final int code;
    private final int size;

    DType(int code, int size) {
        this.code = code;
        this.size = size;
    }

    /** The value of {@code c10::ScalarType}, which operators take where their schema says {@code ScalarType}. */
    public int code() {
        return code;
    }

    /** Bytes of one element. */
    public int size() {
        return size;
    }

    public boolean isFloatingPoint() {
        return this == FLOAT16 || this == FLOAT32 || this == FLOAT64 || this == BFLOAT16;
    }

    static DType of(int code) {
        if (code < 0 || code >= BY_CODE.length || BY_CODE[code] == null) {
            throw new UnsupportedException(
                    "a tensor of c10::ScalarType " + code + ", which lancetorch has no DType for");
        }
        return BY_CODE[code];
    }
}
