"""What the soak calls broken, and what it does not."""

from _soak_judgement import Loss, Sample, descriptor_problem, loss_problem, memory_problem, split_losses


def test_only_what_was_in_flight_at_a_kill_is_explained() -> None:
    """A request that was on its way when a worker was killed may be lost; one long before or after may not."""
    during, before, after = Loss(9.9, 10.1, "a"), Loss(1.0, 1.1, "b"), Loss(20.0, 20.1, "c")
    explained, unexplained = split_losses([during, before, after], [10.0])
    assert explained == [during]
    assert unexplained == [before, after]
    assert "2 requests lost without a killed worker: b at 1.0 s, c at 20.0 s" in loss_problem(unexplained)
    assert loss_problem([]) == ""


def _samples(*sizes: int) -> list[Sample]:
    return [Sample(float(number), size * 3 * 2**20, 10, 2) for number, size in enumerate(sizes)]


def test_memory_that_grows_is_a_problem() -> None:
    """Memory per process is compared between the second and the last quarter; the first quarter warms up."""
    assert memory_problem(_samples(10, 10, 50, 50, 50, 50, 51, 52)) == ""
    assert memory_problem(_samples(50, 50, 50, 50, 70, 80, 90, 90)) == "memory per process grew from 50 to 90 MiB"
    assert memory_problem(_samples(50, 50)) == "too few samples of the memory"


def test_descriptors_that_stay_open_are_a_problem() -> None:
    """The master has as many open descriptors at rest as before."""
    assert descriptor_problem(12, 12) == descriptor_problem(12, 11) == ""
    assert "12 open descriptors at rest and has 15 now" in descriptor_problem(12, 15)
