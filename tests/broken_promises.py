"""`python -m tests.broken_promises [WORDS]`: breaks the promise of each fault in docs/reliability.md once, in a copy of the source, and
sees that the test named beside it fails; only of faults that contain WORDS, where given. Exit status 1 when a break goes unnoticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("markets", "optimizer", "dispatch", "tests", "bench", "config", "docs", "requirements", "pyproject.toml", "loadstone")
LONGEST_S, LONGEST_TEXT = 600, 300
ONE_FAILED = 1  # pytest's exit status: tests ran, and some failed


@dataclass(frozen=True, slots=True)
class Break:
    """One promise broken: in `file`, `text` (which stands there once) becomes `instead`, and `test` must fail. `fault` is how the fault's
    row begins in docs/reliability.md; `chosen` narrows a test with parameters to one of them."""

    fault: str
    file: str
    text: str
    instead: str
    test: str
    chosen: str = ""


BREAKS = (
    Break(
        "a price feed is late",
        "markets/forecasting/ladder.py",
        "fresh = last is not None and age is not None and age <= stale_after(market, last)",
        "fresh = last is not None and age is not None",
        "tests/markets/forecasting/test_ladder.py::test_a_stale_price_gives_way_to_the_day_ahead",
    ),
    Break(
        "a price feed is late",
        "dispatch/web/context.py",
        'loop == "ok" and priced,',
        'loop == "ok",',
        "tests/dispatch/web/test_serve.py::test_a_site_that_never_saw_a_price_is_not_ready",
    ),
    Break(
        "NaN, missing rows",
        "dispatch/runtime/polling.py",
        "        return isfinite(value)",
        "        return True",
        "tests/dispatch/runtime/test_polling.py::test_the_loop_goes_on_while_a_source_answers_with_nan",
    ),
    Break(
        "a feed that hangs",
        "markets/sources/feed.py",
        "            except TimeoutError:\n                await self._kill()",
        "            except TimeoutError:",
        "tests/markets/sources/test_ercot.py::test_a_child_that_does_not_answer_is_killed_at_the_deadline",
    ),
    Break(
        "an implausible figure",
        "markets/quarantine/plausible.py",
        "        return _implausible_price(fact)",
        '        return ""',
        "tests/markets/test_quarantine.py::test_an_implausible_figure_is_not_used_but_kept_and_named",
    ),
    Break(
        "a price is corrected later",
        "markets/archive/vintages.py",
        "    for correction in (False, True):",
        "    for correction in (False,):",
        "tests/markets/archive/test_archive_real.py::test_a_corrected_interval_keeps_both_vintages",
    ),
    Break(
        "the machine's clock is set",
        "dispatch/clock.py",
        "return timedelta(seconds=step_s) if abs(step_s) >= STEP_S else timedelta(0)",
        "return timedelta(0)",
        "tests/dispatch/runtime/test_clock_steps.py::test_the_system_clock_follows_a_step_and_tells_it_once",
    ),
    Break(
        "days of 23 and 25 hours",
        "markets/grid.py",
        "        return datetime.combine(self.on + timedelta(days=1), time(), self.market.tz).astimezone(UTC)",
        "        return self.start + timedelta(days=1)",
        "tests/markets/test_grid.py::test_ercot_days_have_92_96_or_100_quarter_hours_and_join",
    ),
    Break(
        "the ledger is locked",
        "dispatch/store/spare_journal.py",
        '                log.error("The ledger cannot be written: entries go to the spare file until it can.", error=str(lost))',
        "                raise lost",
        "tests/dispatch/store/test_spare_journal.py::test_entries_go_on_in_a_spare_file_while_the_ledger_is_locked",
    ),
    Break(
        "the disk is full",
        "dispatch/store/spare_journal.py",
        "            os.posix_fallocate(handle, 0, self._size)",
        "            os.fsync(handle)",
        "tests/dispatch/store/test_spare_journal.py::test_a_full_disk_takes_calls_decisions_and_a_stop",
    ),
    Break(
        "a row is edited",
        "dispatch/store/verify.py",
        "if not isinstance(token, int) or row_hash(head.decode(), seq, token, text).encode() != hash_:",
        "if not isinstance(token, int):",
        "tests/dispatch/store/test_verify.py::test_a_changed_row_is_named",
    ),
    Break(
        "a row is edited",
        "dispatch/store/record_log.py",
        "                if wanted != digest:",
        "                if wanted is None:",
        "tests/dispatch/store/test_verify.py::test_a_row_changed_outside_the_journal_is_named",
    ),
    Break(
        "a row is edited",
        "dispatch/store/head_check.py",
        '        yield Finding("head", text)',
        "        return",
        "tests/dispatch/store/test_verify.py::test_a_journal_without_its_last_rows_is_named_by_the_head_file",
    ),
    Break(
        "a row is edited",
        "dispatch/store/start_check.py",
        "        return [finding.text for finding in verify_newest(engine, NEWEST_ROWS, published)]",
        "        return []",
        "tests/dispatch/service/test_start.py::test_a_site_does_not_start_on_a_damaged_ledger_unless_its_findings_are_accepted",
    ),
    Break(
        "the ledger is rewritten",
        "dispatch/store/published_heads.py",
        "        yield from head_findings(connection, chain, head, by)",
        "        yield from ()",
        "tests/dispatch/store/test_verify.py::test_a_ledger_rewritten_with_its_head_files_differs_from_the_published_heads",
    ),
    Break(
        "an hour of telemetry",
        "dispatch/store/telemetry_hours.py",
        "        elif digest and _digest(merged[0]) != digest:",
        "        elif not digest and merged:",
        "tests/dispatch/store/test_telemetry_hours.py::test_an_hour_that_is_missing_or_changed_is_named_and_never_ends_in_a_traceback",
    ),
    Break(
        "the journal cannot be written",
        "dispatch/runtime/polling.py",
        "        again = self.offered if self.in_background and not recorded else ()",
        "        again: list[Fact] = []",
        "tests/dispatch/runtime/test_observer.py::test_what_a_background_source_brought_is_observed_again_until_it_is_recorded",
    ),
    Break(
        "a process is killed",
        "dispatch/runtime/loop.py",
        "        self.state = fold(self.state, self.journal)",
        "        self.state = self.state.after(started, 0)",
        "tests/dispatch/runtime/test_loop.py::test_after_a_crash_at_any_row_the_same_decisions_follow",
    ),
    Break(
        "two leaders",
        "dispatch/service/leadership.py",
        '        return "" if self._leads() else "another process leads the site now"',
        '        return ""',
        "tests/dispatch/service/test_leadership.py::test_a_paused_leader_that_wakes_may_send_no_order",
    ),
    Break(
        "two leaders",
        "dispatch/store/journal.py",
        "        if leader != token:",
        "        if leader is None:",
        "tests/dispatch/store/test_journal.py::test_a_stale_token_is_fenced_off",
    ),
    Break(
        "two leaders",
        "dispatch/meters/order_fence.py",
        "    if refusal is not None and (why := refusal()):",
        '    if (why := "" if refusal is None else ""):',
        "tests/dispatch/meters/test_fenced_devices.py::test_a_process_that_lost_the_lead_switches_no_fan_and_no_generator",
    ),
    Break(
        "rigs hang or are gone",
        "dispatch/rigs/concurrent_requests.py",
        "SLOW_AFTER_S, MOST_SLOW = 0.3, 3",
        "SLOW_AFTER_S, MOST_SLOW = 0.3, 0",
        "tests/dispatch/rigs/test_concurrent_requests.py::test_rigs_that_hang_hold_up_nobody",
    ),
    Break(
        "a rig says that it stopped",
        "dispatch/rigs/order_progress.py",
        "        self._close(Outcome.REACHED, known & self._arrived())",
        "        self._close(Outcome.REACHED, known & (self._arrived() | (self._answer == SENT)))",
        "tests/dispatch/rigs/test_controller.py::test_the_outcome_of_a_faulty_rig_that_should_sleep",
    ),
    Break(
        "rigs of any kind of fault",
        "dispatch/decide/fit_to_limit.py",
        "        return own + stuck + sum(self.silent(name) for name in names) + self.offset(names)",
        "        return own",
        "tests/scenarios/test_fault_matrix.py::test_a_call_is_kept_or_what_is_missed_is_named",
        chosen="unreachable and 30",
    ),
    Break(
        "rigs stop while others",
        "dispatch/decide/move_limits.py",
        "            [_Room.under(c, now) for c in limits if c.firm and c.cap_mw < INF],",
        "            [],",
        "tests/dispatch/decide/test_limits.py::test_no_rig_is_raised_on_room_that_orders_under_way_have_not_made_yet",
    ),
    Break(
        "meter data of the market",
        "dispatch/settlement/metering.py",
        "if mwh is None and not live[n].is_nan())",
        "if mwh is None and live[n].is_nan())",
        "tests/dispatch/settlement/test_live_meters.py::test_the_bill_is_by_the_live_meter_until_meter_data_of_the_market_comes",
    ),
    Break(
        "a rig that keeps waking",
        "dispatch/decide/group_state.py",
        "        too_many = left & (departures >= MAX_DEPARTURES)",
        "        too_many = left & (departures > 100)",
        "tests/dispatch/decide/test_rig_selection.py::test_a_rig_that_keeps_waking_is_put_back_three_times_and_then_quarantined",
    ),
    Break(
        "a call twice",
        "optimizer/domain/calls.py",
        "    for call in sorted(versions, key=lambda c: (c.version, c.known_at)):",
        "    for call in versions:",
        "tests/dispatch/signals/test_message_orders.py::test_any_order_of_the_messages_of_a_call_gives_the_same_call",
    ),
    Break(
        "a link falls silent",
        "dispatch/signals/links/linked_site.py",
        "        if silent_s <= self.settings.silent_after_s:",
        "        if silent_s <= 100 * self.settings.silent_after_s:",
        "tests/dispatch/signals/links/test_linked_site.py::test_a_silent_link_is_an_alarm_and_link_loss_is_obeyed_until_it_is_heard",
    ),
    Break(
        "the planner is killed",
        "dispatch/runtime/planner.py",
        "            if attempt == 1:",
        "            if attempt == 3:",
        "tests/dispatch/runtime/test_planner.py::test_a_killed_planner_is_replaced_by_rules_and_then_asked_again",
    ),
    Break(
        "hostile requests",
        "dispatch/web/app.py",
        "        return _invalid(request, error)",
        '        return problem(500, "This is a defect of Loadstone")',
        "tests/dispatch/web/test_openapi.py::test_answers_match_the_openapi_document",
    ),
    Break(
        "slow clients",
        "dispatch/web/connections.py",
        "            self._deadline = self.loop.call_later(self.header_s, self.cut_off)",
        "            self._deadline = self.loop.call_later(3600.0, self.cut_off)",
        "tests/dispatch/web/test_serve.py::test_clients_with_unfinished_headers_are_cut_off_and_block_nobody",
    ),
    Break(
        "a wrong site file",
        "dispatch/site_file/load.py",
        "        raise ConfigError(_lines(path, raw, wrong))",
        "        raise ConfigError(_lines(path, raw, wrong[:1]))",
        "tests/dispatch/site_file/test_load.py::test_all_faults_are_reported_at_once_with_their_keys",
    ),
    Break(
        "restore from a backup",
        "dispatch/store/backup.py",
        "    if verified.findings:",
        "    if verified.findings and not verified.rows:",
        "tests/dispatch/store/test_backup.py",
    ),
    Break(
        "the control loop hangs",
        "dispatch/service/direct_stop.py",
        "            left -= set((await driver.set_mode(sorted(left), SLEEP, ANSWER_WALL_S)).sent)",
        "            left -= set(left)",
        "tests/e2e/test_stop.py::test_a_stop_works_with_the_loop_hung_and_with_the_ledger_locked",
    ),
    Break(
        "a plan swaps groups",
        "dispatch/decide/reflex.py",
        "    kept = {name for limit in limits if limit.firm and limit.floor_mw > 0 for name in limit.groups}",
        "    kept = {name for limit in limits if limit.firm and limit.floor_mw < 0 for name in limit.groups}",
        "tests/dispatch/decide/test_decide.py::test_a_plan_that_swaps_groups_waits_while_a_set_point_is_in_force",
    ),
    Break(
        "set points come every four",
        "dispatch/decide/measured_load.py",
        "np.where(now.awaited & (now.failed_orders == 0), now.ordered, found)",
        "np.where(now.awaited & (now.failed_orders == 99), now.ordered, found)",
        "tests/dispatch/rehearsal/test_four_second_set_points.py::test_set_points_of_four_seconds_are_tracked_within_1_percent_of_the_range",
    ),
    Break(
        "an operator orders wrong",
        "dispatch/signals/hold_proposals.py",
        "    if by == proposal.by or key_name == proposal.key_name:",
        "    if by == proposal.by and key_name != proposal.key_name:",
        "tests/dispatch/web/test_moves.py::test_a_large_hold_waits_for_another_key_and_a_small_one_does_not",
    ),
    Break(
        "a certificate is signed",
        "dispatch/evidence/signing.py",
        '    return document.get("public_key") in keys and signature_holds(document)',
        "    return signature_holds(document)",
        "tests/dispatch/commands/test_certificate.py::test_a_certificate_of_a_key_that_nobody_trusts_is_not_believed",
    ),
    Break(
        "an operator forgets a hold",
        "dispatch/signals/documents.py",
        "    until = hold.until or (at + HOLD_LASTS if at else None)",
        "    until = hold.until",
        "tests/dispatch/signals/test_documents.py::test_a_hold_without_an_end_ends_by_itself",
    ),
    Break(
        "two of these at once",
        "dispatch/runtime/loop.py",
        "        self.state = fold(self.state, self.journal)",
        "        self.state = self.state.after(started, 0)",
        "tests/simulation/test_simulation.py::test_fixed_seeds_hold_every_invariant",
        chosen="26 or 40",
    ),
    Break(
        "several ask for different loads",
        "dispatch/decide/reflex.py",
        "_fitted(want, counts, lower(now, counts, cap, last), cap, now)",
        "_fitted(want, counts, counts, cap, now)",
        "tests/docs/test_arbitration.py::test_random_mixes_keep_every_cap_and_floor_or_name_what_they_miss",
    ),
)


@contextmanager
def broken(copy: Path, promise: Break) -> Iterator[None]:
    """The copy of the source with one promise broken. Raises ValueError where the text does not stand there once."""
    file = copy / promise.file
    whole = file.read_text("utf-8")
    if whole.count(promise.text) != 1:
        raise ValueError(f"{promise.file}: this does not stand there once: {promise.text}")
    file.write_text(whole.replace(promise.text, promise.instead), "utf-8")
    try:
        yield
    finally:
        file.write_text(whole, "utf-8")


def failure(copy: Path, promise: Break) -> str:
    """How the promise's test fails in a copy in which the promise is broken; empty where it does not, or not within LONGEST_S."""
    narrowed = ("-k", promise.chosen) if promise.chosen else ()
    command = (sys.executable, "-m", "pytest", "-q", "-x", "--slow=all", "-p", "no:cacheprovider", promise.test, *narrowed)
    data = os.environ.get("LOADSTONE_DATA", str(ROOT.parent / "shared" / "data"))
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "LOADSTONE_DATA": data}
    with broken(copy, promise):
        try:
            ran = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            return ""
    said = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return "; ".join(said)[:LONGEST_TEXT] if ran.returncode == ONE_FAILED else ""


def main(words: str) -> int:
    """Break the promises of faults that contain `words`; how many breaks went unnoticed."""
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        for promise in BREAKS:
            if words in promise.fault:
                how = failure(copy, promise)
                unnoticed += not how
                print(f"{promise.fault}: {how or f'NOT NOTICED by {promise.test}'}", flush=True)
    return unnoticed


if __name__ == "__main__":
    sys.exit(1 if main(" ".join(sys.argv[1:])) else 0)
