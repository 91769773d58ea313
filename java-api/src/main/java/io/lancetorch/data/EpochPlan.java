package io.lancetorch.data;

import io.lancetorch.error.InvalidArgumentException;

/** One rank's plan of an epoch, from its beginning or from where a run goes on. It has an order. */
record EpochPlan(PlanRequest request, Plan plan) {
    static EpochPlan of(Sampler sampler, PlanRequest request) {
        Plan plan = sampler.plan(request);
        if (plan.order() == null) {
            return new EpochPlan(request, inSteps(sampler, request));
        }
        if (plan.order().begin() != request.consumed()) {
            throw new InvalidArgumentException(
                    sampler + " planned from sample " + plan.order().begin() + " of the epoch on, not from "
                            + request.consumed() + ": hand PlanRequest.consumed on");
        }
        return new EpochPlan(request, plan);
    }

    /** The steps of a sampler that knows no order, as an order of their own: each is a batch of every rank. */
    private static Plan inSteps(Sampler sampler, PlanRequest request) {
        Plan whole = sampler.plan(request.withConsumed(0));
        long perStep = request.samplesPerStep();
        if (request.consumed() % perStep != 0) {
            throw new InvalidArgumentException(request.consumed() + " samples consumed are no number of steps of "
                    + request.worldSize() + " batches of " + request.batchSize() + ", by which alone " + sampler
                    + " goes on: resume with the same world size and batch size");
        }
        var order = new EpochOrder(whole.steps() * perStep, request.consumed(), perStep, true, true);
        var left = new Plan.Builder().order(order);
        for (int step = (int) order.firstStep(); step < whole.steps(); step++) {
            left.addStep(whole, step);
        }
        return left.build();
    }

    long epoch() {
        return request.epoch();
    }

    /** The position when so many steps of the plan were handed out. */
    LoaderState state(long datasetVersion, int steps) {
        EpochOrder order = plan.order();
        return new LoaderState(
                datasetVersion,
                request.seed(),
                request.epoch(),
                plan.consumed(steps),
                order.rows(),
                order.ofBatchSize() ? request.batchSize() : 0,
                order.ofWorldSize() ? request.worldSize() : 0);
    }
}
