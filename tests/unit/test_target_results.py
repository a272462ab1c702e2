"""scripts/target_results.py: rows of a new run replace the target's older ones."""

import target_results


def _row(target: str, case: str, lost: int) -> dict[str, object]:
    return {
        "target": target,
        "case": case,
        "sent": 1000,
        "lost": lost,
        "date": "2026-11-30",
        "versions": {"docker": "26.1"},
    }


def test_a_target_that_ran_has_only_its_new_rows() -> None:
    """A case that no longer exists leaves with the old run."""
    old = [_row("swarm", "an update", 3), _row("swarm", "a case of the past", 0)]
    assert target_results.merged(old, [_row("swarm", "an update", 0)]) == [_row("swarm", "an update", 0)]


def test_a_target_that_did_not_run_keeps_its_rows() -> None:
    """A machine without systemd does not delete what another one has measured."""
    old = [_row("systemd", "four reloads", 0)]
    assert old[0] in target_results.merged(old, [_row("swarm", "an update", 0)])


def test_a_case_that_was_repeated_counts_once() -> None:
    """The last row of a case is the one that is kept."""
    rows = [_row("swarm", "an update", 7), _row("swarm", "an update", 0)]
    assert target_results.merged([], rows) == rows[1:]


def test_a_loss_is_in_the_page() -> None:
    """The page has one row per case, with the losses in front of the total."""
    assert "| an update | 7 | 1,000 |" in target_results.to_text([_row("swarm", "an update", 7)])


def test_versions_and_date_are_in_the_page() -> None:
    """Figures without the programs and the day are worth nothing."""
    assert "docker 26.1; 2026-11-30" in target_results.to_text([_row("swarm", "an update", 7)])
