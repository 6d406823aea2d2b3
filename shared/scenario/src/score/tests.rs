use std::time::Duration;

use super::*;
use crate::evidence::Shown;
use crate::template::template;

fn scenario() -> Scenario {
    Scenario::read("mine", &template("mine")).unwrap()
}

fn change(target: &str, after: &str) -> Change {
    Change { target: target.parse().unwrap(), before: "1".to_owned(), after: after.to_owned() }
}

/// What a run of the template looks like when all went well.
fn healed() -> Evidence {
    Evidence {
        symptoms: vec![Shown { at_first: true, at_last: false }],
        detected: [("global-buffers-insufficient".to_owned(), Duration::from_secs(1))].into(),
        left_to_a_person: Vec::new(),
        handled: vec![Handled {
            targets: vec!["cpf [config] globals".parse().unwrap()],
            restart: true,
            condition: Some("global-buffers-insufficient".to_owned()),
            ended: Some("success".to_owned()),
            calls_a_person: false,
        }],
        changes: vec![change("cpf [config] globals", "0,0,512,0,0,0"), change("instance", "1 start")],
        starts: 1,
        repaired_after: Some(Duration::from_secs(4)),
    }
}

fn spoilt(spoil: impl FnOnce(&mut Evidence)) -> Score {
    let mut evidence = healed();
    spoil(&mut evidence);
    score(&scenario(), &evidence)
}

#[test]
fn a_cure_that_all_see_is_verified() {
    let all = score(&scenario(), &healed());
    assert_eq!((all.verdict, all.points(), all.remarks.len()), (Verdict::Verified, (5, 5), 0));
    assert_eq!(all.time_to_detect, Some(Duration::from_secs(1)));
    assert_eq!(all.time_to_repair, Some(Duration::from_secs(4)));
}

#[test]
fn each_way_to_fall_short_is_seen() {
    assert_eq!(spoilt(|it| it.detected.clear()).detected, Mark::No);
    let believed = spoilt(|it| it.symptoms[0].at_last = true);
    assert_eq!((believed.fixed, believed.verified, believed.verdict), (Mark::No, Mark::No, Verdict::Missed));
    assert_eq!(believed.time_to_repair, None);
    assert_eq!(spoilt(|it| it.handled[0].ended = Some("partial".to_owned())).verified, Mark::No);
    assert_eq!(spoilt(|it| it.handled[0].restart = false).diagnosed, Mark::No);
    assert_eq!(spoilt(|it| it.handled.clear()).points(), (3, 5));
    let beside = spoilt(|it| it.changes.push(change("kernel vm.swappiness", "5")));
    assert_eq!((beside.verdict, beside.collateral.len()), (Verdict::Wrong, 1));
    assert_eq!(spoilt(|it| it.symptoms[0].at_first = false).verdict, Verdict::Invalid);
}

#[test]
fn where_a_person_decides_nothing_may_be_changed_and_one_must_be_called() {
    let mut person = scenario();
    person.truth[0].answer = Answer::Person;
    person.truth[0].remedies.clear();
    let acted = score(&person, &healed());
    assert_eq!((acted.verdict, acted.diagnosed, acted.collateral.len()), (Verdict::Wrong, Mark::No, 2));
    let mut left = healed();
    (left.handled, left.changes) = (Vec::new(), Vec::new());
    assert_eq!(score(&person, &left).verdict, Verdict::Missed);
    left.left_to_a_person.push("global-buffers-insufficient".to_owned());
    let all = score(&person, &left);
    assert_eq!((all.verdict, all.points()), (Verdict::Verified, (3, 3)));
    let looked =
        Handled { targets: Vec::new(), restart: false, calls_a_person: true, ..healed().handled.remove(0) };
    left.left_to_a_person.clear();
    left.handled = vec![looked];
    assert_eq!(score(&person, &left).verdict, Verdict::Verified);
}

#[test]
fn what_needs_nothing_must_trouble_nobody() {
    let mut herring = scenario();
    herring.truth[0].answer = Answer::Nothing;
    herring.truth[0].remedies.clear();
    let mut quiet = healed();
    (quiet.handled, quiet.changes) = (Vec::new(), Vec::new());
    assert_eq!(score(&herring, &quiet).verdict, Verdict::Verified);
    quiet.left_to_a_person.push("global-buffers-insufficient".to_owned());
    assert_eq!(score(&herring, &quiet).verdict, Verdict::Missed);
}

#[test]
fn a_value_other_than_the_only_right_one_is_collateral() {
    let mut exact = scenario();
    exact.truth[0].remedies[0].value = Some("0,0,1024,0,0,0".to_owned());
    assert_eq!(score(&exact, &healed()).collateral, [change("cpf [config] globals", "0,0,512,0,0,0")]);
}

#[test]
fn the_truth_of_another_scenario_scores_less() {
    let other = scenario();
    let mut swapped = scenario().with_truth_of(&other);
    swapped.truth[0].condition = "write-daemon-died".to_owned();
    assert!(score(&swapped, &healed()).points().0 < score(&other, &healed()).points().0);
}

#[test]
fn a_sum_counts_what_was_asked_for() {
    let scores = [score(&scenario(), &healed()), spoilt(|it| it.detected.clear())];
    let sum = Sum::of(scores.iter());
    assert_eq!((sum.runs, sum.marks[0], sum.verdicts), (2, (2, 1), [1, 1, 0, 0]));
}

#[test]
fn one_remediation_may_answer_two_truths_and_nothing_beside() {
    let mut both = scenario();
    let mut pages = both.truth[0].clone();
    pages.condition = "huge-pages-too-few".to_owned();
    pages.remedies[0].changes = vec!["kernel vm.nr_hugepages".parse().unwrap()];
    both.truth.push(pages);
    let run = |targets: &[&str]| {
        let mut evidence = healed();
        evidence.symptoms.push(Shown { at_first: true, at_last: false });
        evidence.detected.insert("huge-pages-too-few".to_owned(), Duration::from_secs(1));
        evidence.handled[0].targets = targets.iter().map(|target| target.parse().unwrap()).collect();
        let score = score(&both, &evidence);
        (score.diagnosed, score.verified)
    };
    let (cache, pages) = ("cpf [config] globals", "kernel vm.nr_hugepages");
    assert_eq!(run(&[pages, cache]), (Mark::Yes, Mark::Yes));
    assert_eq!(run(&[cache]), (Mark::No, Mark::No));
    assert_eq!(run(&[pages, cache, "kernel vm.swappiness"]), (Mark::No, Mark::No));
    // Where only one of them is true, the other change is one too many.
    let mut evidence = healed();
    evidence.handled[0].targets.push(pages.parse().unwrap());
    assert_eq!(score(&scenario(), &evidence).diagnosed, Mark::No);
}
