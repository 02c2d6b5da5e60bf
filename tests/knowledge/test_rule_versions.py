"""Versions of rules: checked before they are saved, kept for ever, told apart in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailorbird.errors import ConflictError, KnowledgeError, NotFoundError
from tailorbird.knowledge.rules import (
    LiveRules,
    RuleSet,
    difference,
    history,
    load_rules,
    save_rules,
)
from tailorbird.store import Workspace

ONE = "[[rule]]\nname = 'a'\nwhen = 'anger > 0.5'\naction = 'hand_over'\n"
TWO = ONE + "[[rule]]\nname = 'b'\nwhen = 'hour > 20'\nanswer.en = 'Later.'\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path) as opened:
        yield opened


def test_there_are_no_rules_before_the_first_are_saved(workspace: Workspace) -> None:
    rules = load_rules(workspace)
    assert (rules.version, rules.rules, len(rules.facts)) == (0, (), 0)
    assert rules.first_match({"text": "hi"}) is None
    assert history(workspace) == []


def test_every_version_is_kept_as_it_was(workspace: Workspace) -> None:
    assert save_rules(workspace, ONE, "X | price | 1", author="ada", note="first") == 1
    assert save_rules(workspace, TWO, "X | price | 2", author="bo") == 2
    assert [rule.name for rule in load_rules(workspace).rules] == ["a", "b"]
    assert load_rules(workspace, 1).facts.fact("x", "price") == "1"
    found = [(one.version, one.author, one.note) for one in history(workspace)]
    assert found == [(2, "bo", ""), (1, "ada", "first")]


def test_what_is_in_force_already_is_no_new_version(workspace: Workspace) -> None:
    assert save_rules(workspace, ONE, "", author="ada") == 1
    assert save_rules(workspace, ONE, "", author="bo") == 1
    assert len(history(workspace)) == 1


@pytest.mark.parametrize(("rules", "facts"), [(ONE + "[[rule]]", ""), (ONE, "a | b")])
def test_wrong_ones_are_not_saved_and_the_old_ones_stay(
    workspace: Workspace, rules: str, facts: str
) -> None:
    save_rules(workspace, ONE, "", author="ada")
    with pytest.raises(KnowledgeError):
        save_rules(workspace, rules, facts, author="ada")
    assert load_rules(workspace).version == 1


def test_rules_that_look_up_facts_are_checked_with_them(workspace: Workspace) -> None:
    rules = "[[rule]]\nname = 'a'\nwhen = 'true'\nanswer.en = '{X | price}'"
    assert save_rules(workspace, rules, "X | price | 1", author="ada") == 1
    with pytest.raises(KnowledgeError, match="no fact has the relation 'price'"):
        save_rules(workspace, rules, "X | colour | red", author="ada")


def test_a_version_that_is_not_there_is_not_found(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="no version 3") as caught:
        load_rules(workspace, 3)
    assert caught.value.cure == "the latest is 0"


def test_two_who_edit_the_same_version_do_not_undo_each_other(workspace: Workspace) -> None:
    save_rules(workspace, ONE, "", author="ada", based_on=0)
    with pytest.raises(ConflictError, match="version 1 is in force by now, by ada"):
        save_rules(workspace, TWO, "", author="bo", based_on=0)
    assert save_rules(workspace, TWO, "", author="bo", based_on=1) == 2


def test_of_many_who_save_at_once_one_wins(workspace: Workspace) -> None:
    outcomes: list[object] = []

    def save(number: int) -> None:
        try:
            rules = ONE.replace("0.5", f"0.{number}")
            outcomes.append(save_rules(workspace, rules, "", author="x", based_on=0))
        except ConflictError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcome == 1 for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 5


def test_live_rules_follow_what_another_process_saved(workspace: Workspace) -> None:
    live = LiveRules(workspace)
    first = live()
    assert live() is first
    with Workspace.open(workspace.path) as other:
        save_rules(other, ONE, "", author="ada")
    assert live().version == 1
    assert live() is live()


def test_differences_are_told_in_sentences() -> None:
    old = RuleSet.read(TWO, "X | price | 1")
    changed = TWO.replace("hour > 20", "hour > 21").replace("Later.", "Tomorrow.")
    b, a = changed[len(ONE) :], ONE.replace("hand_over", "intent:refund")
    new = RuleSet.read(
        b + a + "[[rule]]\nname = 'c'\nwhen = 'true'\nanswer.zh = '好'", "X | price | 2"
    )
    assert difference(old, new) == [
        "rule 'b' now fits when hour > 21; before: hour > 20",
        "rule 'b' now says in English: Tomorrow.; before: Later.",
        "rule 'a' now does intent:refund; before: hand_over",
        "rule 'c' is new: when true",
        "the order of the rules is now b → a",
        "fact added: X | price | 2",
        "fact taken away: X | price | 1",
    ]
    assert difference(new, old, "zh")[3] == "删除规则“c”"
    assert difference(old, old) == ["nothing changed"]
    assert difference(old, old, "zh") == ["没有变化"]
