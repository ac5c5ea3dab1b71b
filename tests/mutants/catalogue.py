"""The mistakes: small patches of the engine, each one that somebody could make in good faith.

A patch is text, not a syntax tree, so that it reads like the diff it is. Its old text stands exactly once in its file;
``test_patches.py`` says so in the ordinary suite, or a renamed variable would quietly take a mutant out of service.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ENGINE = Path("src/homing/engine")
PULL, EPOCH = "tests/engine/test_pull.py::", "tests/engine/test_epoch.py::"
KILLS = "tests/mutants/test_kills.py::"
AT_ONCE = "tests/engine/test_at_once.py::"
DEVICE = "tests/engine/test_push_device.py::"
ISOLATION = "tests/server/test_isolation.py::"
DATABASE = Path("src/homing/postgres/database.py")


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` in ``file`` becomes ``new``, which ``breaks`` something; one of ``tests`` (pytest node ids) must fail."""

    name: str
    file: Path
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the mistake in it. Raises ValueError if the old text does not stand there once."""
        if (times := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: the text to replace stands {times} times in {self.file}, not once")
        return text.replace(self.old, self.new)


MUTANTS = (
    # ------------------------------------------------------------------------------------------------------- live
    Mutant(
        "late-joiner",
        Path("src/homing/server/live.py"),
        "await self._admit(conn, found, joining)",
        "await self._admit(conn, found, joining + list(self._joining))",
        "Who connects while a round is sent is told to be up to date by what was read before they came.",
        ("tests/engine/test_live_rounds.py::test_nobody_is_current_by_what_was_read_before_they_came",),
    ),
    Mutant(
        "ahead",
        ENGINE / "pull.py",
        "msgspec.structs.replace(complete, possible=complete.held)",
        "complete",
        "A delta that ended while others wrote leaves a token that live delivery takes for exact.",
        ("tests/engine/test_live_rounds.py::test_who_is_ahead_of_their_token_is_at_no_moment_less_than_it_says",),
    ),
    Mutant(
        "brought-too-late",
        Path("src/homing/server/live.py"),
        "return question.latest is self._rounds.latest and question.few == self._who_are_few()",
        "return bool(question.few)",
        "A round that a push brought is taken for the next one, though others were meanwhile.",
        ("tests/engine/test_live_along.py::test_a_round_that_comes_too_late_changes_nothing",),
    ),
    Mutant(
        "made-by-whoever-pushes",
        ENGINE / "live.py",
        " AND {prefix} || t.{pk}::text = ANY (%(made)s::text::text[])",
        "",
        "A round that a push brought says of every new row in it that its user made it.",
        ("tests/engine/test_live_along.py::test_each_row_says_who_made_it[18]",),
    ),
    Mutant(
        "told-while-asking",
        Path("src/homing/server/live.py"),
        "                if self._wanted:\n",
        "                if not self._subscribers:\n",
        "What happens between a hub's question and the answer waits for the poll.",
        ("tests/engine/test_live_along.py::test_what_is_written_while_a_hint_is_heard_does_not_wait_for_the_poll[18]",),
    ),
    Mutant(
        "stays-owner",
        Path("src/homing/server/live.py"),
        "set_config('role', 'none', true), ",
        "set_config('role', 'none', false), ",
        "After a push that took a round along, its connection acts with the rights of the owner.",
        ("tests/engine/test_live_along.py::test_the_connection_acts_for_clients_again_afterwards",),
    ),
    # ------------------------------------------------------------------------------------------------------ merge
    Mutant(
        "chain",
        ENGINE / "base.py",
        "                base |= values\n",
        "                pass\n",
        "An edit is measured against the row before the device's own last one: what it counted then counts twice.",
        ("tests/engine/test_push.py::test_a_chain_counts_for_what_it_changed_however_it_is_cut",),
    ),
    Mutant(
        "own-history",
        ENGINE / "base.py",
        "base[name], last[name] = wrote[name], entry.version",
        "last[name] = entry.version",
        "The same, where the device was first and others came after it.",
        ("tests/engine/test_push.py::test_what_the_device_did_first_and_then_others_is_no_news_to_it",),
    ),
    Mutant(
        "agreed",
        ENGINE / "decide.py",
        "return Nothing(merged=merged, decided",
        "return Nothing(decided",
        "A device whose edit others had made already takes their version for its own, with what else they did.",
        ("tests/engine/test_push.py::test_agreeing_with_others_is_not_having_seen_them",),
    ),
    # ------------------------------------------------------------------------------------------------------- pull
    Mutant(
        "cursor",
        ENGINE / "pull.py",
        "since=until.bounded(engine.limits.token_xids_max),",
        "since=Snapshot(until.xmax, until.xmax),",
        "The token is the highest transaction seen: what commits late is skipped for ever.",
        (f"{KILLS}test_what_commits_late_still_comes",),
    ),
    Mutant(
        "horizon",
        ENGINE / "pull.py",
        "since=until.bounded(engine.limits.token_xids_max),",
        "since=Snapshot(until.xmin, until.xmin),",
        "The token is the oldest running transaction: an open one anywhere makes every delta the same again.",
        (f"{EPOCH}test_a_transaction_left_open_anywhere_stalls_nothing[18]",),
    ),
    Mutant(
        "made-again",
        ENGINE / "feeds.py",
        'made_later.format(table.version_sql) if with_held and made_later else sql.SQL("")',
        'sql.SQL("")',
        "A row deleted and made again while its removal is paged: the old one stays on the device for ever.",
        (f"{PULL}test_a_row_made_again_while_its_removal_is_paged_does_not_stay",),
    ),
    Mutant(
        "policies-not-told",
        ENGINE / "feeds.py",
        "set_config('homing.actor', %(user)s::text, true)",
        "%(user)s::text",
        "A pull does not say for whom it reads: the policies let nothing through, and devices lose their messages.",
        ("tests/apps/messaging/test_sync.py::test_a_message_is_pending_until_the_phone_acks_and_read_when_it_is_read",),
    ),
    Mutant(
        "guess-trusted",
        ENGINE / "pull.py",
        "        if info.scopes is None:\n",
        "        if info.scopes is None or token.held is not None:\n",
        "The scopes of the token are taken for those held now: a revoked right goes on.",
        (f"{PULL}test_leaving_a_scope_removes_its_rows_and_entering_brings_them",),
    ),
    Mutant(
        "half-removed-still-held",
        ENGINE / "pull.py",
        "    before = before - left\n",
        "",
        "A scope whose removal had begun counts as held: given back, its removed rows never come again.",
        (f"{PULL}test_a_scope_whose_removal_had_begun_comes_whole_when_it_is_given_back",),
    ),
    Mutant(
        "possible-forgotten",
        ENGINE / "pull.py",
        "    possible = possible | entering | left\n",
        "",
        "What an abandoned delta brought is forgotten: its rows stay on a device that may not see them.",
        (f"{PULL}test_a_scope_that_an_abandoned_delta_brought_is_removed_again",),
    ),
    Mutant(
        "complete-too-early",
        ENGINE / "pull.py",
        "    if token.until is None or until == here:\n",
        "    if token.until is None or last is None:\n",
        "The last page says complete though rows changed while the delta was paged: half a transaction is shown.",
        (f"{PULL}test_a_transaction_longer_than_a_page_is_never_half_complete",),
    ),
    Mutant(
        "epoch-unchecked",
        ENGINE / "pull.py",
        "    if token.epoch != info.epoch:\n",
        "    if token.epoch is None:\n",
        "A token outlives its database's epoch: after a truncation the device keeps rows that are gone.",
        (f"{EPOCH}test_truncating_a_synced_table_is_an_epoch[slots]",),
    ),
    Mutant(
        "left-though-held",
        ENGINE / "feeds.py",
        'conditions.append(sql.SQL("NOT {}").format(table.held_sql()))',
        'conditions.append(sql.SQL("true"))',
        "A row that left one scope is removed though another held scope has it.",
        (f"{PULL}test_a_row_in_two_held_scopes_stays_until_both_are_gone",),
    ),
    Mutant(
        "delete-without-departure",
        ENGINE / "stamps.py",
        "FROM ({all_scopes}) AS d(scope, row_id) WHERE d.scope IS NOT NULL\n",
        "FROM ({all_scopes}) AS d(scope, row_id) WHERE false\n",
        "A delete leaves no departure: the row stays on every device.",
        (f"{PULL}test_a_change_is_the_whole_row_and_says_what_happened",),
    ),
    # ------------------------------------------------------------------------------------------------------- push
    Mutant(
        "claim-ignored",
        ENGINE / "push.py",
        'token=request.batch_token or f"homing-{uuid4()}",',
        'token=f"homing-{uuid4()}",',
        "The batch's token is not its key: a batch whose answer was lost is applied twice.",
        (f"{KILLS}test_a_batch_sent_twice_is_applied_once",),
    ),
    Mutant(
        "claim-unchecked",
        ENGINE / "push.py",
        "    if rows[0][0] is None:\n",
        "    if not rows:\n",
        "A batch that was claimed before is worked on again.",
        (f"{KILLS}test_a_batch_sent_twice_is_applied_once",),
    ),
    Mutant(
        "claim-commits-alone",
        ENGINE / "push.py",
        "    correct_times(works, opened.offset, batch.now)\n",
        "    correct_times(works, opened.offset, batch.now)\n    await conn.run_all([COMMIT, BEGIN])\n",
        "The claim commits before its effects: a batch that fails between them is answered as done.",
        (f"{KILLS}test_a_batch_begun_again_is_still_its_own",),
    ),
    Mutant(
        "caller-taken-for-granted",
        ENGINE / "queries" / "claim_expected.sql",
        ") IS NOT TRUE",
        ") IS NOT TRUE AND false",
        "A batch that goes at once is not stopped by anything: who was let in before may write for ever.",
        (f"{AT_ONCE}test_who_was_let_in_before_is_asked_again[session ended]",),
    ),
    Mutant(
        "state-once-a-second",
        ENGINE / "queries" / "_sync_metadata.sql",
        "WHERE (m.sync_status, m.pending_outgoing_count)\n"
        "        IS DISTINCT FROM (%(status)s, coalesce(%(pending)s::int, m.pending_outgoing_count))\n"
        "   OR %(status)s",
        "WHERE %(status)s",
        "How a device's sync stands is not written where it changed, but only once a second.",
        (f"{DEVICE}test_how_its_sync_stands_is_written_when_it_changed_or_a_second_later[18]",),
    ),
    Mutant(
        "temp-id-taken-for-granted",
        ENGINE / "queries" / "claim_expected.sql",
        "i.client_temp_id = t.id",
        "false",
        "A batch that goes at once is not stopped by temp ids that are known: they are taken for keys.",
        (f"{AT_ONCE}test_a_temp_id_of_an_earlier_batch_still_stands_for_its_row",),
    ),
    Mutant(
        "key-taken-for-granted",
        ENGINE / "queries" / "claim_expected.sql",
        "h.row_id = k.row_id",
        "false",
        "A batch that goes at once is not stopped by a key that was a deleted row's: the key means two rows.",
        (f"{AT_ONCE}test_the_key_of_a_row_that_is_there_or_was_is_refused",),
    ),
    Mutant(
        "clock-taken-for-granted",
        ENGINE / "push.py",
        "        if work.edited_at is not batch.now and batch.measured is None:\n",
        "        if work.edited_at is None and batch.measured is None:\n",
        "A batch that goes at once takes the device's clock for ours: what it edited is hours old, or of tomorrow.",
        (f"{AT_ONCE}test_a_time_by_the_device_s_clock_is_corrected",),
    ),
    Mutant(
        "item-key-ignored",
        ENGINE / "again.py",
        "if work.verdict is None and work.key in by_key]",
        "if work.verdict is not None and work.key in by_key]",
        "An item's key is not looked up: sent again in another batch it makes a second row.",
        (f"{KILLS}test_an_item_sent_again_makes_no_second_row",),
    ),
    Mutant(
        "history-ignored",
        ENGINE / "decide.py",
        "                if entry.device is None or entry.device != device:\n",
        "                if entry.device is None and entry.device != device:\n",
        "What other devices wrote since the base is not looked at: the last writer silently wins.",
        (f"{KILLS}test_what_others_wrote_since_the_base_is_met",),
    ),
    Mutant(
        "own-edits-are-others",
        ENGINE / "decide.py",
        "                if entry.device is None or entry.device != device:\n",
        "                if entry.device is None or entry.device is not None:\n",
        "A device's own earlier edits count as somebody else's: its chain of edits conflicts with itself.",
        (f"{KILLS}test_what_the_device_wrote_itself_is_not",),
    ),
    Mutant(
        "references-unchecked",
        ENGINE / "write.py",
        'sql.SQL(" AND ").join(parts)) if parts else sql.SQL("true")',
        'sql.SQL(" AND ").join(parts)) if parts is None else sql.SQL("true")',
        "A reference to an invisible row is accepted: a device learns which rows exist.",
        (f"{KILLS}test_what_cannot_be_seen_cannot_be_referred_to",),
    ),
    Mutant(
        "refused-but-written",
        ENGINE / "careful.py",
        '    if edit.refusal is not None:\n        await conn.run_all([Call("ROLLBACK TO SAVEPOINT homing_item")])\n'
        "        work.refused(edit.refusal)\n",
        "    if edit.refusal is not None:\n        work.refused(edit.refusal)\n",
        "An item that an effect refuses is not rolled back: it is answered as refused, and stays.",
        (f"{KILLS}test_what_an_effect_refuses_is_not_written",),
    ),
    Mutant(
        "failed-and-all-with-it",
        ENGINE / "careful.py",
        '    except ABOUT_DATA as error:\n        await conn.run_all([Call("ROLLBACK TO SAVEPOINT homing_item")])\n',
        "    except ABOUT_DATA as error:\n",
        "An item that breaks a rule of the table is not rolled back to its savepoint: the whole batch goes with it.",
        (f"{KILLS}test_a_batch_begun_again_is_still_its_own",),
    ),
    # ---------------------------------------------------------------------------------------------------- tenants
    Mutant(
        "token-beats-place",
        Path("src/homing/tenants/choose.py"),
        "    return audience if place is None or place == audience else Contradiction()",
        "    return audience",
        "A token of one tenant is served at another's address: its rows are answered there.",
        (f"{ISOLATION}test_no_canary_of_another_tenant_is_ever_seen",),
    ),
    Mutant(
        "each-by-itself",
        DATABASE,
        "while database.would_grow and self._count(database) >= self._most:",
        "while database.would_grow and database.size >= self._most:",
        "Each tenant's connections are counted by themselves: many tenants take all that PostgreSQL has.",
        (f"{ISOLATION}test_a_request_to_each_takes_no_more_connections_than_there_is_room_for",),
    ),
    Mutant(
        "not-at-rest",
        DATABASE,
        'return 0 < stats["pool_size"] == stats["pool_available"] and not stats["requests_waiting"]',
        'return 0 < stats["pool_size"] and not stats["requests_waiting"]',
        "A database that somebody is using makes room, and keeps what it gives.",
        ("tests/postgres/test_connection_limit.py::test_what_is_in_use_is_waited_for",),
    ),
    Mutant(
        "one-store-for-all",
        Path("src/homing/server/node.py"),
        '        data_dir=settings.data_dir / "tenants" / entry.name,',
        '        data_dir=settings.data_dir / "tenants",',
        "The files of all tenants lie in one folder.",
        ("tests/server/test_quotas.py::test_the_address_of_an_upload_leads_to_its_tenant_without_any_header",),
    ),
    # ------------------------------------------------------------------------------------------------ marketplace
    Mutant(
        "merged-though-locked",
        ENGINE / "decide.py",
        "    if table.declared.merge.whole and others:",
        "    if table.declared.merge.whole and theirs.keys() & edit.values.keys():",
        "A proposal is accepted on terms that were changed meanwhile: only the same field conflicts.",
        ("tests/apps/marketplace/test_sync.py::test_a_proposal_is_locked_optimistically",),
    ),
    Mutant(
        "unseen-but-referred-to",
        ENGINE / "write.py",
        "                held=target.seen_sql(),",
        '                held=sql.SQL("true"),',
        "What a push refers to need not be seen: it tells whether somebody's draft exists.",
        ("tests/apps/marketplace/test_sync.py::test_who_may_say_what",),
    ),
)
