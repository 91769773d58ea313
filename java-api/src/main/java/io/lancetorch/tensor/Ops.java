package io.lancetorch.tensor;

import io.lancetorch.error.InvalidArgumentException;

/**
 * Java names for the common operators. Each follows the ATen operator of the same name, and its errors are an
 * {@link InvalidArgumentException} with libtorch's words; results belong to the current scope. For any other operator, see
 * {@link Op}.
 */
public final class Ops {
    private static final Op ADD = Op.lazy("aten::add", "Tensor");
    private static final Op ADD_IN_PLACE = Op.lazy("aten::add_", "Tensor");
    private static final Op SUB = Op.lazy("aten::sub", "Tensor");
    private static final Op MUL = Op.lazy("aten::mul", "Tensor");
    private static final Op MUL_SCALAR = Op.lazy("aten::mul", "Scalar");
    private static final Op MUL_IN_PLACE = Op.lazy("aten::mul_", "Scalar");
    private static final Op DIV = Op.lazy("aten::div", "Tensor");
    private static final Op DIV_SCALAR = Op.lazy("aten::div", "Scalar");
    private static final Op MATMUL = Op.lazy("aten::matmul", "");
    private static final Op LINEAR = Op.lazy("aten::linear", "");
    private static final Op CONV2D = Op.lazy("aten::conv2d", "");
    private static final Op BATCH_NORM = Op.lazy("aten::batch_norm", "");
    private static final Op RELU = Op.lazy("aten::relu", "");
    private static final Op RELU_IN_PLACE = Op.lazy("aten::relu_", "");
    private static final Op MAX_POOL2D = Op.lazy("aten::max_pool2d", "");
    private static final Op ADAPTIVE_AVG_POOL2D = Op.lazy("aten::adaptive_avg_pool2d", "");
    private static final Op FLATTEN = Op.lazy("aten::flatten", "using_ints");
    private static final Op CROSS_ENTROPY = Op.lazy("aten::cross_entropy_loss", "");
    private static final Op SOFTMAX = Op.lazy("aten::softmax", "int");
    private static final Op ARGMAX = Op.lazy("aten::argmax", "");
    private static final Op EQ = Op.lazy("aten::eq", "Tensor");
    private static final Op SUM = Op.lazy("aten::sum", "");
    private static final Op MEAN = Op.lazy("aten::mean", "");
    private static final Op ABS = Op.lazy("aten::abs", "");
    private static final Op MAX = Op.lazy("aten::max", "");
    private static final Op CLONE = Op.lazy("aten::clone", "");
    private static final Op CONTIGUOUS = Op.lazy("aten::contiguous", "");
    private static final Op RESHAPE = Op.lazy("aten::reshape", "");
    private static final Op PERMUTE = Op.lazy("aten::permute", "");
    private static final Op NARROW = Op.lazy("aten::narrow", "");
    private static final Op CAT = Op.lazy("aten::cat", "");
    private static final Op STACK = Op.lazy("aten::stack", "");
    private static final Op FILL = Op.lazy("aten::fill_", "Scalar");
    private static final Op NORMAL = Op.lazy("aten::normal_", "");
    private static final Op UNIFORM = Op.lazy("aten::uniform_", "");
    private static final Op ZEROS = Op.lazy("aten::zeros", "");
    private static final Op ONES = Op.lazy("aten::ones", "");
    private static final Op RANDN = Op.lazy("aten::randn", "");
    private static final Op ARANGE = Op.lazy("aten::arange", "");
    private static final Op EQUAL = Op.lazy("aten::equal", "");

    private static final long[] TWICE_1 = {1, 1};

    private Ops() {}

    private static Native begin() {
        return Native.get().begin();
    }

    // ---- arithmetic ----

    /** {@code a + b}, with broadcasting. */
    public static Tensor add(Tensor a, Tensor b) {
        return begin().tensor(a).tensor(b).call(ADD);
    }

    /** {@code target += scale * other}; returns {@code target}. */
    public static Tensor addInPlace(Tensor target, Tensor other, double scale) {
        begin().tensor(target).tensor(other).real(scale).callInPlace(ADD_IN_PLACE);
        return target;
    }

    /** {@code target += other}; returns {@code target}. */
    public static Tensor addInPlace(Tensor target, Tensor other) {
        begin().tensor(target).tensor(other).callInPlace(ADD_IN_PLACE);
        return target;
    }

    /** {@code a - b}, with broadcasting. */
    public static Tensor sub(Tensor a, Tensor b) {
        return begin().tensor(a).tensor(b).call(SUB);
    }

    /** {@code a * b}, with broadcasting. */
    public static Tensor mul(Tensor a, Tensor b) {
        return begin().tensor(a).tensor(b).call(MUL);
    }

    /** {@code a * b}. */
    public static Tensor mul(Tensor a, double b) {
        return begin().tensor(a).real(b).call(MUL_SCALAR);
    }

    /** {@code target *= factor}; returns {@code target}. */
    public static Tensor mulInPlace(Tensor target, double factor) {
        begin().tensor(target).real(factor).callInPlace(MUL_IN_PLACE);
        return target;
    }

    /** {@code a / b}, with broadcasting; of integers, a float. */
    public static Tensor div(Tensor a, Tensor b) {
        return begin().tensor(a).tensor(b).call(DIV);
    }

    /** {@code a / b}. */
    public static Tensor div(Tensor a, double b) {
        return begin().tensor(a).real(b).call(DIV_SCALAR);
    }

    /** The matrix product, batched where there are more than two dimensions. */
    public static Tensor matmul(Tensor a, Tensor b) {
        return begin().tensor(a).tensor(b).call(MATMUL);
    }

    public static Tensor abs(Tensor a) {
        return begin().tensor(a).call(ABS);
    }

    // ---- layers ----

    /** {@code input · weightᵀ + bias}; weight [out, in]; bias may be null. */
    public static Tensor linear(Tensor input, Tensor weight, Tensor bias) {
        return begin().tensor(input).tensor(weight).tensorOrNone(bias).call(LINEAR);
    }

    /** input [batch, in, height, width], weight [out, in / groups, kernel, kernel]; bias may be null. */
    public static Tensor conv2d(Tensor input, Tensor weight, Tensor bias, int stride, int padding, int groups) {
        return begin().tensor(input)
                .tensor(weight)
                .tensorOrNone(bias)
                .integers(stride, stride)
                .integers(padding, padding)
                .integers(TWICE_1)
                .integer(groups)
                .call(CONV2D);
    }

    /**
     * Normalises each channel over the batch, and moves {@code runningMean} and {@code runningVar} by {@code momentum}; where
     * not {@code training}, by those two instead.
     */
    public static Tensor batchNorm(
            Tensor input,
            Tensor weight,
            Tensor bias,
            Tensor runningMean,
            Tensor runningVar,
            boolean training,
            double momentum,
            double epsilon) {
        return begin().tensor(input)
                .tensorOrNone(weight)
                .tensorOrNone(bias)
                .tensorOrNone(runningMean)
                .tensorOrNone(runningVar)
                .bool(training)
                .real(momentum)
                .real(epsilon)
                .bool(true)
                .call(BATCH_NORM);
    }

    public static Tensor relu(Tensor input) {
        return begin().tensor(input).call(RELU);
    }

    /** Returns {@code input}. */
    public static Tensor reluInPlace(Tensor input) {
        begin().tensor(input).callInPlace(RELU_IN_PLACE);
        return input;
    }

    public static Tensor maxPool2d(Tensor input, int kernel, int stride, int padding) {
        return begin().tensor(input)
                .integers(kernel, kernel)
                .integers(stride, stride)
                .integers(padding, padding)
                .call(MAX_POOL2D);
    }

    public static Tensor adaptiveAvgPool2d(Tensor input, int height, int width) {
        return begin().tensor(input).integers(height, width).call(ADAPTIVE_AVG_POOL2D);
    }

    /** All dimensions from {@code first} on as one. */
    public static Tensor flatten(Tensor input, int first) {
        return begin().tensor(input).integer(first).call(FLATTEN);
    }

    /** The mean over the batch; logits [batch, classes], target int64 [batch]. */
    public static Tensor crossEntropy(Tensor logits, Tensor target) {
        return begin().tensor(logits).tensor(target).call(CROSS_ENTROPY);
    }

    public static Tensor softmax(Tensor input, int dimension) {
        return begin().tensor(input).integer(dimension).call(SOFTMAX);
    }

    // ---- reductions and comparisons ----

    /** The index of the largest value along {@code dimension}, int64. */
    public static Tensor argmax(Tensor input, int dimension) {
        return begin().tensor(input).integer(dimension).call(ARGMAX);
    }

    /** Where {@code a} equals {@code b}, bool. */
    public static Tensor eq(Tensor a, Tensor b) {
        return begin().tensor(a).tensor(b).call(EQ);
    }

    /** Whether both have the same shape and the same values. */
    public static boolean equal(Tensor a, Tensor b) {
        return (Boolean) begin().tensor(a).tensor(b).callAll(EQUAL)[0];
    }

    /** Over all elements; of bools and small integers, int64. */
    public static Tensor sum(Tensor input) {
        return begin().tensor(input).call(SUM);
    }

    public static Tensor mean(Tensor input) {
        return begin().tensor(input).call(MEAN);
    }

    /** Over all elements. */
    public static Tensor max(Tensor input) {
        return begin().tensor(input).call(MAX);
    }

    // ---- shapes and copies ----

    /** A copy with memory of its own. */
    public static Tensor clone(Tensor input) {
        return begin().tensor(input).call(CLONE);
    }

    /** Dense in row-major order; the same tensor where it is so already. */
    public static Tensor contiguous(Tensor input) {
        return begin().tensor(input).call(CONTIGUOUS);
    }

    /** A view where that can be, else a copy; one size may be -1. */
    public static Tensor reshape(Tensor input, long... shape) {
        return begin().tensor(input).integers(shape).call(RESHAPE);
    }

    public static Tensor permute(Tensor input, long... dimensions) {
        return begin().tensor(input).integers(dimensions).call(PERMUTE);
    }

    /** A view of {@code length} indices of one dimension, from {@code start}. */
    public static Tensor narrow(Tensor input, int dimension, long start, long length) {
        return begin().tensor(input)
                .integer(dimension)
                .integer(start)
                .integer(length)
                .call(NARROW);
    }

    /** Side by side along a dimension that is there. */
    public static Tensor cat(int dimension, Tensor... tensors) {
        return begin().tensors(tensors).integer(dimension).call(CAT);
    }

    /** Side by side along a new dimension. */
    public static Tensor stack(int dimension, Tensor... tensors) {
        return begin().tensors(tensors).integer(dimension).call(STACK);
    }

    // ---- filling ----

    /** Returns {@code target}. */
    public static Tensor fillInPlace(Tensor target, double value) {
        begin().tensor(target).real(value).callInPlace(FILL);
        return target;
    }

    /** Random values of the normal distribution, by libtorch's generator. Returns {@code target}. */
    public static Tensor normalInPlace(Tensor target, double mean, double deviation) {
        begin().tensor(target).real(mean).real(deviation).callInPlace(NORMAL);
        return target;
    }

    /** Random values from {@code low} to {@code high}, by libtorch's generator. Returns {@code target}. */
    public static Tensor uniformInPlace(Tensor target, double low, double high) {
        begin().tensor(target).real(low).real(high).callInPlace(UNIFORM);
        return target;
    }

    public static Tensor zeros(DType dtype, long... shape) {
        return begin().integers(shape).integer(dtype.code()).call(ZEROS);
    }

    public static Tensor ones(DType dtype, long... shape) {
        return begin().integers(shape).integer(dtype.code()).call(ONES);
    }

    public static Tensor randn(DType dtype, long... shape) {
        return begin().integers(shape).integer(dtype.code()).call(RANDN);
    }

    /** 0, 1, ... {@code end} - 1, int64. */
    public static Tensor arange(long end) {
        return begin().integer(end).call(ARANGE);
    }
}
