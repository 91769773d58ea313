package io.lancetorch.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

class TensorScopeTest {
    private static long live() {
        return Torch.liveHandles(Torch.Kind.TENSOR);
    }

    private static Tensor one() {
        return Tensor.of(new float[] {1});
    }

    private static Throwable onAnotherThread(ThrowingCallable callable) throws InterruptedException {
        var thrown = new AtomicReference<Throwable>();
        Thread.ofPlatform().start(() -> thrown.set(catchThrowable(callable))).join();
        return thrown.get();
    }

    @Test
    void closeFreesAllThatWasMadeWithin() {
        try (var scope = new TensorScope()) {
            Tensor tensor = one();
            for (int i = 0; i < 999; i++) {
                tensor = Ops.add(tensor, tensor);
            }
            assertThat(scope.size()).isEqualTo(1000);
            assertThat(live()).isEqualTo(1000);
        }
        assertThat(live()).isZero();
    }

    @Test
    void withoutAScopeTheCallerCloses() {
        Tensor tensor = one();
        try (var scope = new TensorScope()) {
            assertThat(scope.size()).isZero();
        }
        assertThat(tensor.item()).isEqualTo(1);
        tensor.close();
        assertThat(live()).isZero();
    }

    @Test
    void innerScopesFreeTheirOwnOnly() {
        try (var _ = new TensorScope()) {
            Tensor outer = one();
            Tensor inner;
            try (var _ = new TensorScope()) {
                inner = Ops.add(outer, outer);
            }
            assertThat(inner.isClosed()).isTrue();
            assertThat(outer.item()).isEqualTo(1);
        }
    }

    @Test
    void detachedTensorOutlivesItsScope() {
        Tensor kept;
        try (var scope = new TensorScope()) {
            one();
            kept = TensorScope.detach(one());
            one();
            assertThat(scope.size()).isEqualTo(2);
            TensorScope.detach(kept);
        }
        assertThat(live()).isEqualTo(1);
        assertThat(kept.item()).isEqualTo(1);
        kept.close();
    }

    @Test
    void movedTensorBelongsToTheOuterScope() {
        try (var outer = new TensorScope()) {
            Tensor moved;
            try (var inner = new TensorScope()) {
                moved = inner.moveToOuter(one());
                assertThat(inner.size()).isZero();
            }
            assertThat(moved.item()).isEqualTo(1);
            assertThat(outer.size()).isEqualTo(1);
        }
        assertThat(live()).isZero();
    }

    @Test
    void movedOutOfTheOutermostScopeItIsTheCallers() {
        Tensor moved;
        try (var scope = new TensorScope()) {
            moved = scope.moveToOuter(one());
        }
        assertThat(moved.item()).isEqualTo(1);
        moved.close();
    }

    @Test
    void adoptedTensorIsFreedWithTheScope() {
        Tensor tensor = one();
        try (var scope = new TensorScope()) {
            scope.adopt(tensor);
            scope.adopt(tensor);
            assertThat(scope.size()).isEqualTo(1);
        }
        assertThat(tensor.isClosed()).isTrue();
    }

    @Test
    void tensorsClosedInAnyOrderLeaveTheScopeRight() {
        List<Tensor> tensors = new ArrayList<>();
        try (var scope = new TensorScope()) {
            for (int i = 0; i < 200; i++) {
                tensors.add(one());
            }
            for (int i = 0; i < 200; i += 3) {
                tensors.get(i).close();
            }
            assertThat(scope.size()).isEqualTo(133);
            assertThat(live()).isEqualTo(133);
            assertThat(tensors.get(1).item()).isEqualTo(1);
        }
        assertThat(live()).isZero();
        assertThat(tensors).allMatch(Tensor::isClosed);
    }

    @Test
    void useAfterCloseNamesTheTensor() {
        Tensor sum;
        try (var _ = new TensorScope()) {
            sum = Ops.add(one(), one());
        }
        assertThatThrownBy(sum::item)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContainingAll("aten::add", "closed", "detach");
        Tensor other = one();
        assertThatThrownBy(() -> Ops.add(other, sum)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> Op.find("aten::stack", "").call((Object) new Tensor[] {other, sum}))
                .isInstanceOf(IllegalStateException.class);
        for (ThrowingCallable use : List.<ThrowingCallable>of(
                sum::shape,
                sum::data,
                sum::toFloats,
                sum::share,
                sum::grad,
                sum::backward,
                sum::detach,
                sum::requiresGrad,
                sum::storageUseCount,
                sum::nativeHandle,
                () -> sum.copyFrom(other),
                () -> other.copyFrom(sum),
                () -> other.grad(sum),
                () -> TensorScope.detach(sum))) {
            assertThatThrownBy(use).isInstanceOf(IllegalStateException.class).hasMessageContaining("aten::add");
        }
        other.close();
    }

    @Test
    void closingTwiceDoesNothing() {
        Tensor tensor = one();
        tensor.close();
        assertThatCode(tensor::close).doesNotThrowAnyException();
        var scope = new TensorScope();
        one();
        scope.close();
        assertThatCode(scope::close).doesNotThrowAnyException();
        assertThat(live()).isZero();
    }

    @Test
    void closedScopeTakesNothing() {
        var scope = new TensorScope();
        scope.close();
        Tensor tensor = one();
        assertThatThrownBy(() -> scope.adopt(tensor)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> scope.moveToOuter(tensor)).isInstanceOf(IllegalStateException.class);
        assertThat(tensor.item()).isEqualTo(1);
        tensor.close();
    }

    @Test
    void outerScopeThatIsClosedFirstClosesTheInnerOnes() {
        var outer = new TensorScope();
        one();
        var inner = new TensorScope();
        one();
        var innermost = new TensorScope();
        one();
        outer.close();
        assertThat(live()).isZero();
        assertThatCode(inner::close).doesNotThrowAnyException();
        assertThatCode(innermost::close).doesNotThrowAnyException();
        Tensor free = one();
        try (var scope = new TensorScope()) {
            assertThat(scope.size()).isZero();
        }
        free.close();
    }

    @Test
    void scopeOfAnotherThreadIsNotTouched() throws InterruptedException {
        try (var scope = new TensorScope()) {
            Tensor tensor = one();
            assertThat(onAnotherThread(scope::close))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining(Thread.currentThread().getName());
            assertThat(onAnotherThread(tensor::close)).isInstanceOf(IllegalStateException.class);
            assertThat(onAnotherThread(() -> TensorScope.detach(tensor))).isInstanceOf(IllegalStateException.class);
            assertThat(onAnotherThread(() -> scope.moveToOuter(tensor))).isInstanceOf(IllegalStateException.class);
            assertThat(onAnotherThread(() -> {
                        try (Tensor own = one()) {
                            scope.adopt(own);
                        }
                    }))
                    .isInstanceOf(IllegalStateException.class);
            assertThat(tensor.item()).isEqualTo(1);
            assertThat(scope.size()).isEqualTo(1);
        }
        assertThat(live()).isZero();
    }

    @Test
    void otherThreadsTensorsAreNotInThisThreadsScope() throws InterruptedException {
        var made = new AtomicReference<Tensor>();
        try (var scope = new TensorScope()) {
            assertThat(onAnotherThread(() -> made.set(one()))).isNull();
            assertThat(scope.size()).isZero();
        }
        assertThat(made.get().item()).isEqualTo(1);
        made.get().close();
    }

    @Test
    void detachedTensorMayBeClosedByAnotherThread() throws InterruptedException {
        Tensor tensor;
        try (var _ = new TensorScope()) {
            tensor = TensorScope.detach(one());
        }
        assertThat(onAnotherThread(tensor::close)).isNull();
        assertThat(live()).isZero();
    }

    @Test
    void exceptionWithinAScopeFreesIt() {
        assertThatThrownBy(() -> {
                    try (var _ = new TensorScope()) {
                        Ops.matmul(Ops.ones(DType.FLOAT32, 2, 3), Ops.ones(DType.FLOAT32, 2, 3));
                    }
                })
                .isInstanceOf(io.lancetorch.error.InvalidArgumentException.class);
        assertThat(live()).isZero();
    }
}
