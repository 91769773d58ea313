package io.lancetorch.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lancetorch.distributed.Ranks;
import io.lancetorch.error.CorruptDataException;
import io.lancetorch.error.InvalidArgumentException;
import io.lancetorch.error.UnsupportedException;
import io.lancetorch.lance.Field;
import io.lancetorch.lance.ImageTransform;
import io.lancetorch.lance.LanceDataset;
import io.lancetorch.lance.LanceWriter;
import io.lancetorch.lance.Schema;
import io.lancetorch.tensor.DType;
import io.lancetorch.tensor.Ops;
import io.lancetorch.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Documents packed into sequences, beside a plain packing of all; token {@code 100 * document + i} tells where it is from. */
@Timeout(120)
class PackingTest {
    private static final int DOCUMENTS = 230;
    private static final int LENGTH = 16;
    private static final long END = 1_000_000;
    private static final long PAD = -7;
    private static final long SEED = 4;

    @TempDir
    private static Path folder;

    private static LanceDataset dataset;
    private static int[] lengths;

    @BeforeAll
    static void write() {
        var random = new Random(1);
        lengths = IntStream.range(0, DOCUMENTS)
                .map(i -> i % 29 == 3 ? 0 : i % 31 == 5 ? 40 + random.nextInt(50) : 1 + random.nextInt(15))
                .toArray();
        String uri = folder.resolve("documents.lance").toString();
        Schema schema = Schema.of(
                Field.list("text", Field.int32("item")), Field.int64("id"), Field.int32("count"), Field.int32("wrong"));
        int id = 0;
        for (int rows : new int[] {1, 90, 7, DOCUMENTS - 98}) {
            try (var writer = LanceWriter.to(uri, schema)
                    .mode(id == 0 ? LanceWriter.Mode.CREATE : LanceWriter.Mode.APPEND)
                    .open()) {
                for (int row = 0; row < rows; row++, id++) {
                    int document = id;
                    int[] tokens = IntStream.range(0, lengths[id])
                            .map(i -> 100 * document + i)
                            .toArray();
                    writer.append(tokens, (long) id, lengths[id], lengths[id] + (id == 200 ? 1 : 0));
                }
                writer.finish();
            }
        }
        dataset = LanceDataset.open(uri);
    }

    @AfterAll
    static void close() {
        dataset.close();
    }

    private record Case(Packing packing, Sampler sampler) {
        RowSampler documents() {
            return sampler instanceof BatchSampler batches ? batches.rows() : (RowSampler) sampler;
        }

        Uneven uneven() {
            return sampler instanceof BatchSampler batches ? batches.uneven() : Uneven.PAD;
        }
    }

    private static Stream<Case> cases() {
        return Stream.of(Packing.concatenate(LENGTH), Packing.bestFit(LENGTH))
                .flatMap(packing -> Stream.of(packing, packing.endOfText(END).lengthColumn("count")))
                .map(packing -> packing.padValue(PAD))
                .flatMap(packing -> Stream.of(
                                new SequentialSampler(),
                                new RandomSampler(),
                                new BatchSampler(new RandomSampler(), Uneven.JOIN),
                                new BatchSampler(new RandomSampler(true, 300), Uneven.DROP))
                        .map(sampler -> new Case(packing, sampler)));
    }

    private static DataLoader.Builder loader(Case of, int rank, int world, int batchSize) {
        return DataLoader.of(dataset)
                .packed("text", of.packing)
                .sampler(of.sampler)
                .batchSize(batchSize)
                .seed(SEED)
                .rank(rank, world)
                .decodeThreads(1 + rank % 3);
    }

    /** The tokens of each valid sequence of a batch; checks all that is told beside them. */
    private static List<List<Long>> sequences(Batch batch) {
        long[] tokens = batch.get("text").toLongs();
        long[] positions = batch.get("text_position").toLongs();
        long[] segments = batch.get("text_segment").toLongs();
        long[] ends = batch.get("text_cu_seqlens").toLongs();
        int rows = batch.rows();
        assertThat(batch.get("text").shape()).containsExactly(rows, LENGTH);
        assertThat(batch.get("text").dtype()).isEqualTo(DType.INT64);
        assertThat(batch.get("text_position").shape()).containsExactly(rows, LENGTH);
        assertThat(batch.get("text_segment").dtype()).isEqualTo(DType.INT32);
        assertThat(batch.get("text_cu_seqlens").dtype()).isEqualTo(DType.INT32);
        List<Long> expectedEnds = new ArrayList<>(List.of(0L));
        for (int at = 0; at < tokens.length; at++) {
            boolean first = at % LENGTH == 0;
            boolean padding = segments[at] == 0;
            boolean begins = first || segments[at] != segments[at - 1];
            assertThat(positions[at]).isEqualTo(padding || begins ? 0 : positions[at - 1] + 1);
            assertThat(tokens[at] == PAD).isEqualTo(padding);
            assertThat(segments[at]).isEqualTo(padding ? 0 : first ? 1 : begins ? segments[at - 1] + 1 : segments[at]);
            if (begins && at > 0) {
                expectedEnds.add((long) at);
            }
            boolean goesOn = !begins && !padding && tokens[at] != END;
            assertThat(goesOn).isEqualTo(goesOn && tokens[at] == tokens[at - 1] + 1);
        }
        expectedEnds.add((long) tokens.length);
        assertThat(LongStream.of(ends).boxed().toList()).isEqualTo(expectedEnds);
        List<List<Long>> all = new ArrayList<>();
        for (int row = 0; row < rows; row++) {
            if (batch.isValid(row)) {
                all.add(Arrays.stream(tokens, row * LENGTH, (row + 1) * LENGTH)
                        .boxed()
                        .toList());
            }
        }
        return all;
    }

    /** All sequences of an epoch of all ranks, step after step. */
    private static List<List<Long>> read(
            Case of, int world, int batchSize, LoaderState from, int most, LoaderState[] at) {
        List<List<List<List<Long>>>> ranks = new ArrayList<>();
        for (int rank = 0; rank < world; rank++) {
            List<List<List<Long>>> steps = new ArrayList<>();
            var builder = loader(of, rank, world, batchSize);
            try (var loader =
                    from == null ? builder.open() : builder.resumeFrom(from).open()) {
                if (from == null) {
                    loader.setEpoch(1);
                }
                int promised = loader.steps();
                Iterator<Batch> batches = loader.iterator();
                while (steps.size() < most && batches.hasNext()) {
                    steps.add(sequences(batches.next()));
                }
                assertThat(steps).hasSize(Math.min(most, promised));
                assertThat(loader.state()).as("all ranks").isEqualTo(rank == 0 ? loader.state() : at[0]);
                at[0] = loader.state();
            }
            ranks.add(steps);
        }
        List<List<Long>> all = new ArrayList<>();
        for (int step = 0; step < ranks.getFirst().size(); step++) {
            for (List<List<List<Long>>> rank : ranks) {
                assertThat(rank).as("the same steps on all ranks").hasSameSizeAs(ranks.getFirst());
                all.addAll(rank.get(step));
            }
        }
        return all;
    }

    private static List<Long> document(int id, boolean end) {
        List<Long> tokens = new ArrayList<>();
        for (int i = 0; i < lengths[id]; i++) {
            tokens.add(100L * id + i);
        }
        if (end) {
            tokens.add(END);
        }
        return tokens;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void everyRankAndBatchSizeGivesTheSameSequencesAndTheyHaveAllDocuments(Case of) {
        var at = new LoaderState[1];
        List<List<Long>> whole = read(of, 1, 1, null, Integer.MAX_VALUE, at);
        assertThat(at[0].isAtEnd()).isTrue();
        assertThat(at[0].rows()).isEqualTo(whole.size());
        RowSequence order = of.documents().rows(new PlanRequest(dataset.fragments(), 1, 0, SEED, 1, 1, false));
        boolean end = of.packing.endOfText() >= 0;
        if (of.packing.splits()) {
            List<Long> stream = new ArrayList<>();
            for (long i = 0; i < order.size(); i++) {
                stream.addAll(document((int) order.at(i), end));
            }
            while (stream.size() % LENGTH != 0) {
                stream.add(PAD);
            }
            assertThat(whole.stream().flatMap(List::stream).toList()).isEqualTo(stream);
        } else {
            Map<List<Long>, Integer> expected = new HashMap<>();
            long tokens = 0;
            for (long i = 0; i < order.size(); i++) {
                List<Long> document = document((int) order.at(i), end);
                document = document.subList(0, Math.min(LENGTH, document.size()));
                if (!document.isEmpty()) {
                    expected.merge(document, 1, Integer::sum);
                }
                tokens += document.size();
            }
            Map<List<Long>, Integer> found = new HashMap<>();
            for (List<Long> sequence : whole) {
                pieces(sequence, end).forEach(piece -> found.merge(piece, 1, Integer::sum));
            }
            assertThat(found).isEqualTo(expected);
            assertThat(whole.size()).isLessThanOrEqualTo((int) Math.ceil(1.1 * tokens / LENGTH));
        }
        for (int[] world : new int[][] {{1, 7}, {2, 3}, {3, 5}, {5, 2}}) {
            List<List<Long>> others = read(of, world[0], world[1], null, Integer.MAX_VALUE, at);
            if (of.uneven() == Uneven.DROP) {
                // In the last step each rank has the first ones of its batch.
                int sure = Math.max(0, others.size() - world[0] * world[1]);
                assertThat(others.subList(0, sure)).isEqualTo(whole.subList(0, sure));
                assertThat(whole).containsAll(others);
                assertThat(others.size()).isGreaterThan(whole.size() - world[0] * world[1]);
            } else {
                assertThat(others).as("%d ranks of %d", world[0], world[1]).isEqualTo(whole);
            }
        }
    }

    /** The documents of a sequence, which end with END, or where the tokens do not go on by one. */
    private static List<List<Long>> pieces(List<Long> sequence, boolean end) {
        List<List<Long>> pieces = new ArrayList<>();
        List<Long> piece = new ArrayList<>();
        for (long token : sequence) {
            if (token == PAD) {
                break;
            }
            if (!piece.isEmpty() && (piece.getLast() == END || token != END && token != piece.getLast() + 1)) {
                pieces.add(piece);
                piece = new ArrayList<>();
            }
            piece.add(token);
        }
        pieces.add(piece);
        return pieces;
    }

    @ParameterizedTest
    @MethodSource("cases")
    void stoppedAnywhereARunOfOtherRanksGoesOnAtTheVeryNextSequence(Case of) {
        var at = new LoaderState[1];
        List<List<Long>> whole = read(of, 1, 1, null, Integer.MAX_VALUE, at);
        List<List<Long>> seen = new ArrayList<>(read(of, 3, 2, null, 4, at));
        seen.addAll(read(of, 2, 5, at[0], 3, at));
        seen.addAll(read(of, 1, 4, LoaderState.fromMap(at[0].toMap()), Integer.MAX_VALUE, at));
        if (of.uneven() == Uneven.DROP) {
            assertThat(whole).containsAll(seen);
            assertThat(seen.subList(0, 54)).as("24 and 30").isEqualTo(whole.subList(0, 54));
        } else {
            assertThat(seen).isEqualTo(whole);
        }
        assertThat(at[0].isAtEnd()).isTrue();
    }

    @Test
    void aGroupReadsTheLengthsTogetherAndPacksTheDocumentsOfAFilter() throws InterruptedException {
        List<Long> all = new ArrayList<>();
        for (Object tokens : Ranks.run(4, List.class, group -> {
            List<Long> own = new ArrayList<>();
            try (var loader = DataLoader.of(dataset)
                    .packed("text", Packing.concatenate(LENGTH).padValue(PAD))
                    .filter("id % 2 = 0")
                    .sampler(new BatchSampler(new RandomSampler(), Uneven.JOIN))
                    .batchSize(3)
                    .group(group)
                    .replication(2)
                    .open()) {
                for (Batch batch : loader) {
                    sequences(batch).forEach(own::addAll);
                }
            }
            return own;
        })) {
            ((List<?>) tokens).forEach(token -> all.add((Long) token));
        }
        all.removeIf(token -> token == PAD);
        List<Long> expected = IntStream.range(0, DOCUMENTS)
                .filter(id -> id % 2 == 0)
                .boxed()
                .flatMap(id -> Stream.concat(document(id, false).stream(), document(id, false).stream()))
                .sorted()
                .toList();
        assertThat(all.stream().sorted().toList()).as("on each of two ranks").isEqualTo(expected);
    }

    @Test
    void aBatchThatIsKeptStaysAsItIs() {
        try (var loader = loader(new Case(Packing.concatenate(LENGTH).padValue(PAD), new SequentialSampler()), 0, 1, 2)
                .open()) {
            List<Batch> kept = new ArrayList<>();
            List<long[]> tokens = new ArrayList<>();
            List<Long> addresses = new ArrayList<>();
            for (Batch batch : loader) {
                addresses.add(batch.get("text").dataPointer());
                if (kept.size() < 3) {
                    kept.add(batch.detach());
                    tokens.add(batch.get("text").toLongs());
                }
            }
            for (int i = 0; i < kept.size(); i++) {
                assertThat(kept.get(i).get("text").toLongs()).isEqualTo(tokens.get(i));
                kept.get(i).close();
            }
            assertThat(addresses.stream().distinct().count())
                    .as("memory is used again")
                    .isLessThan(12);
            assertThat(addresses).hasSizeGreaterThan(50);
        }
    }

    @Test
    void inputsAndTargetsAreViewsThatACollateMakes() {
        try (var loader = loader(new Case(Packing.concatenate(LENGTH), new SequentialSampler()), 0, 1, 4)
                .collate(read -> {
                    Tensor tokens = read.get("text");
                    return Map.of(
                            "input", Ops.narrow(tokens, 1, 0, LENGTH - 1),
                            "target", Ops.narrow(tokens, 1, 1, LENGTH - 1));
                })
                .open()) {
            Batch batch = loader.iterator().next();
            assertThat(batch.get("input").shape()).containsExactly(4, LENGTH - 1);
            assertThat(batch.get("target").toLongs()[0])
                    .isEqualTo(batch.get("input").toLongs()[1]);
        }
    }

    @Test
    void aLengthColumnThatIsWrongIsNamedWithTheRow() {
        try (var loader = loader(
                        new Case(Packing.bestFit(LENGTH).lengthColumn("wrong"), new SequentialSampler()), 0, 1, 4)
                .open()) {
            assertThatThrownBy(() -> loader.forEach(batch -> {}))
                    .isInstanceOf(CorruptDataException.class)
                    .hasMessageContainingAll(
                            "column text has " + lengths[200] + " tokens",
                            "wrong says " + (lengths[200] + 1),
                            "fragment 3, row 102");
        }
    }

    @Test
    void whatDoesNotGoWithPackingIsRefused() {
        Packing packing = Packing.concatenate(LENGTH);
        for (DataLoader.Builder builder : List.of(
                DataLoader.of(dataset).packed("text", packing).columns("text", "id"),
                DataLoader.of(dataset).packed("text", packing).withRowId(),
                DataLoader.of(dataset).packed("text", packing).image("id", ImageTransform.resize(4, 4)),
                DataLoader.of(dataset).packed("text", packing).sampler(new ShardedFragmentSampler()))) {
            assertThatThrownBy(builder::open).isInstanceOf(InvalidArgumentException.class);
        }
        assertThatThrownBy(() -> DataLoader.of(dataset).packed("id", packing).open())
                .isInstanceOf(UnsupportedException.class)
                .hasMessageContainingAll("id", "int64", "list<int32>");
        assertThatThrownBy(() -> Packing.bestFit(0)).isInstanceOf(InvalidArgumentException.class);
    }
}
