package io.lancetorch.jmh;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A script of src/main/python, in the bench's own virtual environment. It prints lines of JSON,
 * {@code {"implementation", "group", "score", "unit", "role"?}}, each a figure.
 */
record PythonRun(String name, PythonEnvironment.Part part, String script, List<String> arguments)
        implements Implementation {

    static PythonRun of(String name, String script, Object... arguments) {
        return of(name, PythonEnvironment.Part.BASE, script, arguments);
    }

    static PythonRun of(String name, PythonEnvironment.Part part, String script, Object... arguments) {
        List<String> texts = new ArrayList<>();
        for (Object argument : arguments) {
            texts.add(argument.toString());
        }
        return new PythonRun(name, part, script, texts);
    }

    @Override
    public Role role() {
        return Role.PEER;
    }

    @Override
    public List<Score> measure(Lab lab) throws IOException, InterruptedException, Unavailable {
        List<Score> scores = new ArrayList<>();
        for (Command.Line line : lab.lines(lab.log(name), lab.pythonCommand(part, script, arguments))) {
            if (line.text().startsWith("{")) {
                scores.add(score(line.text()));
            }
        }
        if (scores.isEmpty()) {
            throw new Unavailable(script + " printed no figure (" + lab.log(name) + ")");
        }
        return scores;
    }

    /** The figure in a line of JSON. */
    static Score score(String text) throws IOException {
        JsonNode line = new ObjectMapper().readTree(text);
        return new Score(
                line.get("implementation").asText(),
                Role.valueOf(line.path("role").asText(Role.PEER.name())),
                line.path("group").asText(""),
                line.get("score").asDouble(),
                line.get("unit").asText());
    }
}
