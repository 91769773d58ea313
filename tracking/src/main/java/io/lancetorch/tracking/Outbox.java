package io.lancetorch.tracking;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Hands events to a server by a thread of its own, so that whoever tells them never waits. What a server that is away cannot
 * take is kept in a spool, and sent, in its order, when it answers again.
 */
final class Outbox implements AutoCloseable {
    /** Takes events; may take some time, though a bounded one. Those of a call that fails are given again. */
    interface Server {
        void send(List<TrackingEvent> events) throws IOException;
    }

    private static final int CAPACITY = 10_000;
    private static final int AT_ONCE = 500;
    private static final long LINGER_MILLIS = 200;
    private static final long LAST_LINGER_MILLIS = 20;
    private static final long FIRST_RETRY_MILLIS = 1_000;
    private static final long LAST_RETRY_MILLIS = 30_000;

    private final String name;
    private final Server server;
    private final Spool spool;
    private volatile Duration patience;
    private final Consumer<String> say;
    private final BlockingQueue<TrackingEvent> queue = new LinkedBlockingQueue<>(CAPACITY);
    private final Thread thread;
    private final Object end = new Object();

    private volatile boolean closing;
    private long deadline;
    // Of the thread alone.
    private boolean away;
    private boolean told;
    private boolean back;
    private long retryMillis = FIRST_RETRY_MILLIS;
    private long retryAt = System.nanoTime();
    // Under this object's lock.
    private List<TrackingEvent> inFlight = List.of();
    private boolean abandoned;
    private boolean lost;

    /**
     * @param name of the server, in messages
     * @param patience how long {@link #close} waits for it
     * @param say told, in a line, once that the server is away and once that it is back, and at the end of what is left
     */
    Outbox(String name, Server server, Spool spool, Duration patience, Consumer<String> say) {
        this.name = name;
        this.server = server;
        this.spool = spool;
        this.patience = patience;
        this.say = say;
        thread = Thread.ofPlatform().daemon().name("lancetorch-tracking").start(this::run);
    }

    void put(TrackingEvent event) {
        if (!queue.offer(event)) {
            keep(List.of(event));
        }
    }

    /** From now on the end waits no longer than this. */
    void hurry(Duration most) {
        if (patience.compareTo(most) > 0) {
            patience = most;
        }
    }

    private void run() {
        boolean ending = false;
        while (true) {
            if (closing && !ending) {
                ending = true;
                retryAt = System.nanoTime();
            }
            List<TrackingEvent> events = take();
            if (!spool.isEmpty()) {
                keep(events);
                if (System.nanoTime() - retryAt >= 0) {
                    attempt(() -> spool.drain(AT_ONCE, server::send));
                }
            } else if (!events.isEmpty() && !attempt(() -> server.send(events))) {
                keepInFlight();
            }
            synchronized (this) {
                inFlight = List.of();
                boolean late = ending && System.nanoTime() - deadline >= 0;
                if (abandoned || ending && queue.isEmpty() && (spool.isEmpty() || late)) {
                    return;
                }
            }
            if (queue.size() < AT_ONCE) {
                linger();
            }
        }
    }

    private void linger() {
        try {
            Thread.sleep(closing ? LAST_LINGER_MILLIS : LINGER_MILLIS);
        } catch (InterruptedException e) {
            throw new IllegalStateException("nobody interrupts this thread", e);
        }
    }

    /** At no moment is an event neither in the queue nor in flight. */
    private synchronized List<TrackingEvent> take() {
        List<TrackingEvent> events = new ArrayList<>();
        if (!abandoned) {
            queue.drainTo(events, AT_ONCE);
            inFlight = events;
        }
        return events;
    }

    private interface Delivery {
        void run() throws IOException;
    }

    private boolean attempt(Delivery delivery) {
        try {
            delivery.run();
        } catch (IOException | RuntimeException e) {
            failed(e);
            return false;
        }
        if (away && !back) {
            back = true;
            say.accept(name + " answers again, and has been sent what was kept");
        }
        away = false;
        retryMillis = FIRST_RETRY_MILLIS;
        return true;
    }

    private void failed(Exception failure) {
        synchronized (this) {
            if (abandoned) {
                return;
            }
        }
        if (!told) {
            told = true;
            say.accept(name + " does not take what the run tells it (" + failure.getMessage()
                    + "): the run goes on, and what is told meanwhile is kept in " + spool.file());
        }
        away = true;
        long wait = closing ? FIRST_RETRY_MILLIS : retryMillis;
        retryAt = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(wait);
        retryMillis = Math.min(2 * retryMillis, LAST_RETRY_MILLIS);
    }

    private void keep(List<TrackingEvent> events) {
        try {
            spool.append(events);
        } catch (IOException e) {
            boolean first;
            synchronized (this) {
                first = !lost;
                lost = true;
            }
            if (first) {
                say.accept("what " + name + " does not take cannot be kept in " + spool.file()
                        + " either, and is lost: " + e);
            }
        }
    }

    private synchronized void keepInFlight() {
        if (!abandoned) {
            keep(inFlight);
        }
    }

    /** Waits for the server as long as it was told to; what it has not taken then stays in the spool. Idempotent. */
    @Override
    public void close() {
        synchronized (end) {
            if (!closing) {
                finish();
            }
        }
    }

    private void finish() {
        deadline = System.nanoTime() + patience.toNanos();
        closing = true;
        try {
            thread.join(patience.plusMillis(2 * LINGER_MILLIS));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        synchronized (this) {
            abandoned = true;
            List<TrackingEvent> left = new ArrayList<>(inFlight);
            queue.drainTo(left);
            keep(left);
        }
        if (!spool.isEmpty()) {
            say.accept(name + " has not taken all that the run told it: the rest is in " + spool.file()
                    + "; to send it: ./lancetorch track " + spool.file());
        }
    }
}
