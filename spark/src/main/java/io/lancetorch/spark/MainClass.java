package io.lancetorch.spark;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.List;

/** Runs a program's main class as a rank. The driver and the executors do not load it. */
final class MainClass implements RankFunction<String> {
    private static final long serialVersionUID = 1;

    private final String name;
    private final String[] arguments;

    MainClass(String name, List<String> arguments) {
        this.name = name;
        this.arguments = arguments.toArray(String[]::new);
    }

    /** Returns null. */
    @Override
    public String call() throws Exception {
        Method main = Class.forName(name).getMethod("main", String[].class);
        main.setAccessible(true);
        try {
            main.invoke(null, (Object) arguments);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof Error error) {
                throw error;
            }
            throw (Exception) e.getCause();
        }
        return null;
    }
}
