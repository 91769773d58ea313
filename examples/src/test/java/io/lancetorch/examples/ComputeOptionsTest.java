package io.lancetorch.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.lancetorch.examples.CommandLineRun.Result;
import io.lancetorch.examples.model.ResNet;
import io.lancetorch.tensor.Autocast;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Device;
import io.lancetorch.tensor.MemoryFormat;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import io.lancetorch.tensor.TensorScope;
import io.lancetorch.tensor.Torch;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ComputeOptionsTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource({"--device=cuda", "--device=cuda:0", "'--device=cuda --synthetic'", "'--device=cuda --no-ddp'"})
    void aGpuThatIsNotThereIsSaidInOneLine(String options) throws Exception {
        assumeThat(Device.cuda(0).isAvailable()).as("skipped: there is a GPU").isFalse();
        Result result = CommandLineRun.run(("train " + options).split(" "));
        assertThat(result.status()).isEqualTo(1);
        assertThat(result.output().strip())
                .doesNotContain("\n")
                .startsWith("lancetorch: ")
                .contains("no device cuda")
                .containsAnyOf("built without CUDA", "NVIDIA driver", "No CUDA GPUs");
    }

    @ParameterizedTest
    @CsvSource({"--device=gpu,cuda:INDEX", "--amp=int8,BF16", "--synthetic=0,1 step or more"})
    void aWrongOptionIsAWrongUse(String option, String said) throws Exception {
        Result result = CommandLineRun.run("train", option);
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.output()).contains(said);
    }

    @Test
    void aDatasetAndSyntheticExcludeEachOther() throws Exception {
        Result result = CommandLineRun.run("train", "--synthetic=2", "--", "some.lance");
        assertThat(result.status()).isEqualTo(2);
        assertThat(result.output()).contains("some.lance");
    }

    @Test
    void twoRanksTrainOnNoiseInMixedPrecisionAndWriteATrace() throws Exception {
        Path trace = folder.resolve("trace.json");
        Result result = CommandLineRun.run(
                "train",
                "--synthetic=7",
                "--amp=bf16",
                "--fused",
                "--image-size=32",
                "--batch-size=4",
                "--epochs=2",
                "--profile=" + trace);
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output()).contains("epoch 2/2").contains("images/s  synthetic");
        JsonNode events = new ObjectMapper().readTree(trace.toFile()).get("traceEvents");
        List<String> names = events.findValuesAsText("name");
        assertThat(names.stream().filter("aten::convolution"::equals)).hasSizeGreaterThanOrEqualTo(5 * 20);
        assertThat(names).anyMatch(name -> name.contains("ConvolutionBackward"));
        assertThat(names.stream().filter("aten::_fused_sgd_"::equals)).hasSize(5);
    }

    @ParameterizedTest
    @CsvSource({"--amp=bf16", "--amp=fp16", "'--no-channels-last --deterministic'"})
    void aDatasetIsTrainedOnWithEachWayToCompute(String options) throws Exception {
        String dataset = CommandLineRun.createDataset(folder, 64, 32);
        Result result =
                CommandLineRun.run(("train --no-ddp --epochs 1 --image-size 32 --batch-size 16 --val-fraction 0.25 "
                                + options + " -- " + dataset)
                        .split(" "));
        assertThat(result.status()).as(result.output()).isZero();
        assertThat(result.output()).contains("epoch 1/1").doesNotContain("NaN");
    }

    /** The same network in another order of memory, and near the same in bf16. */
    @Test
    void orderOfMemoryAndPrecisionChangeTheResultByRoundingAlone() {
        try (var _ = new TensorScope()) {
            Torch.manualSeed(3);
            ResNet rows = ResNet.of("resnet18", 10, Device.CPU, MemoryFormat.CONTIGUOUS);
            Torch.manualSeed(3);
            ResNet pixels = ResNet.of("resnet18", 10);
            try (rows;
                    pixels) {
                Tensor images = Ops.randn(DType.FLOAT32, 2, 3, 32, 32);
                Tensor expected = rows.forward(images, false);
                Tensor other = pixels.forward(images.to(MemoryFormat.CHANNELS_LAST), false);
                assertThat(distance(other, expected)).isLessThan(1e-4);
                try (var _ = Autocast.on(Device.Type.CPU, DType.BFLOAT16)) {
                    Tensor shorter = pixels.forward(images.to(MemoryFormat.CHANNELS_LAST), false);
                    assertThat(shorter.dtype()).isEqualTo(DType.BFLOAT16);
                    assertThat(distance(shorter.to(DType.FLOAT32), expected)).isBetween(1e-6, 0.05);
                }
            }
        }
    }

    /** The largest difference beside the largest value. */
    private static double distance(Tensor a, Tensor b) {
        return Ops.max(Ops.abs(Ops.sub(a, b))).item() / Ops.max(Ops.abs(b)).item();
    }
}
