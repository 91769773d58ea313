package io.lancetorch.jmh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import org.junit.jupiter.api.Test;

class RowTest {
    private static Row row(List<Row> rows, String implementation) {
        return rows.stream()
                .filter(row -> row.implementation().equals(implementation))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aTimeIsComparedWithTheFastestPeerAndMoreThanOneIsFaster() {
        List<Row> rows = Row.of(
                Case.OP,
                List.of(
                        new Score("lancetorch", Role.OURS, "", 500, "ns/op"),
                        new Score("slow peer", Role.PEER, "", 3000, "ns/op"),
                        new Score("fast peer", Role.PEER, "", 2000, "ns/op"),
                        new Score("baseline", Role.TO_COMPARE, "", 100, "ns/op"),
                        new Score("limit", Role.LIMIT, "", 400, "ns/op")));
        Row ours = row(rows, "lancetorch");
        assertThat(ours.ratioToPeer()).isCloseTo(4, within(1e-9));
        assertThat(ours.ratioToLimit()).isCloseTo(0.8, within(1e-9));
        assertThat(row(rows, "slow peer").ratioToPeer()).isCloseTo(2.0 / 3, within(1e-9));
        assertThat(row(rows, "slow peer").ratioToOurs()).isCloseTo(1.0 / 6, within(1e-9));
    }

    @Test
    void aRateIsComparedTheOtherWayRound() {
        List<Row> rows = Row.of(
                Case.DECODE,
                List.of(
                        new Score("lancetorch", Role.OURS, "", 1600, "images/s"),
                        new Score("peer", Role.PEER, "", 200, "images/s"),
                        new Score("limit", Role.LIMIT, "", 2000, "images/s")));
        assertThat(row(rows, "lancetorch").ratioToPeer()).isCloseTo(8, within(1e-9));
        assertThat(row(rows, "lancetorch").ratioToLimit()).isCloseTo(0.8, within(1e-9));
        assertThat(row(rows, "peer").ratioToPeer()).isCloseTo(1, within(1e-9));
    }

    @Test
    void onlyFiguresOfTheSameGroupAndUnitAreCompared() {
        List<Row> rows = Row.of(
                Case.LOADER,
                List.of(
                        new Score("ours uint8", Role.OURS, "uint8", 3000, "images/s"),
                        new Score("ours float", Role.OURS, "float", 2000, "images/s"),
                        new Score("peer float", Role.PEER, "float", 1000, "images/s"),
                        new Score("ours heap", Role.OURS, "float", 4000, "B/batch")));
        assertThat(row(rows, "ours float").ratioToPeer()).isCloseTo(2, within(1e-9));
        assertThat(row(rows, "ours uint8").ratioToPeer()).isNull();
        assertThat(row(rows, "ours heap").ratioToPeer()).isNull();
        assertThat(row(rows, "ours heap").ratioToLimit()).isNull();
    }

    @Test
    void theJsonHasTheSixKeysInOrder() throws Exception {
        String json = new ObjectMapper()
                .writeValueAsString(Row.of(
                                Case.DECODE,
                                List.of(
                                        new Score("lancetorch", Role.OURS, "", 1600, 12, "images/s"),
                                        new Score("peer", Role.PEER, "", 200, "images/s")))
                        .getFirst());
        assertThat(json)
                .isEqualTo("{\"case\":\"decode\",\"implementation\":\"lancetorch\",\"score\":1600.0,"
                        + "\"unit\":\"images/s\",\"ratio_to_peer\":8.0,\"ratio_to_limit\":null}");
    }
}
