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
            named: Vec::new(),
            ended: Some("success".to_owned()),
            calls_a_person: false,
        }],
        changes: vec![change("cpf [config] globals", "0,0,512,0,0,0")],
        starts: 1,
        forced: 0,
        left_down: false,
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
    (left.handled, left.changes, left.starts) = (Vec::new(), Vec::new(), 0);
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
    (quiet.handled, quiet.changes, quiet.starts) = (Vec::new(), Vec::new(), 0);
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
    let run = |both: &Scenario, targets: &[&str]| {
        let mut evidence = healed();
        evidence.symptoms.push(Shown { at_first: true, at_last: false });
        evidence.detected.insert("huge-pages-too-few".to_owned(), Duration::from_secs(1));
        evidence.handled[0].targets = targets.iter().map(|target| target.parse().unwrap()).collect();
        let score = score(both, &evidence);
        (score.diagnosed, score.verified)
    };
    let (cache, pages) = ("cpf [config] globals", "kernel vm.nr_hugepages");
    assert_eq!(run(&both, &[pages, cache]), (Mark::Yes, Mark::Yes));
    assert_eq!(run(&both, &[cache]), (Mark::No, Mark::No));
    assert_eq!(run(&both, &[pages, cache, "kernel vm.swappiness"]), (Mark::No, Mark::No));
    // The cache needs a restart; pages that need none may share it, and not be the reason for one.
    let mut apart = both.clone();
    apart.truth[1].remedies[0].restart = false;
    assert_eq!(run(&apart, &[pages, cache]), (Mark::Yes, Mark::Yes));
    assert_eq!(run(&apart, &[pages]), (Mark::No, Mark::No));
    // Where only one of them is true, the other change is one too many.
    let mut evidence = healed();
    evidence.handled[0].targets.push(pages.parse().unwrap());
    assert_eq!(score(&scenario(), &evidence).diagnosed, Mark::No);
}

#[test]
fn more_starts_than_the_cures_need_are_collateral() {
    let told = |score: &Score| {
        let told: Vec<String> =
            score.collateral.iter().map(|it| format!("{}: {}, {}", it.target, it.before, it.after)).collect();
        (score.verdict, told.join("; "))
    };
    let twice = spoilt(|it| it.starts = 2);
    assert_eq!(told(&twice), (Verdict::Wrong, "instance: started at most 1 time(s), 2 time(s)".to_owned()));
    // A cure that failed and was undone, then one that held.
    let tried = |starts: usize| {
        spoilt(|it| {
            it.handled.insert(0, Handled { ended: Some("undone".to_owned()), ..it.handled[0].clone() });
            it.starts = starts;
        })
    };
    assert_eq!(tried(3).verdict, Verdict::Verified);
    assert_eq!(tried(4).verdict, Verdict::Wrong);
    // Nobody has asked for a restart in vain but who tried the cure itself.
    let other = spoilt(|it| {
        let other =
            Handled { ended: Some("undone".to_owned()), targets: Vec::new(), ..it.handled[0].clone() };
        it.handled.insert(0, other);
        it.starts = 3;
    });
    assert_eq!(other.verdict, Verdict::Wrong);
    let mut untouched = scenario();
    untouched.truth[0].must_not_touch.push(Target::Instance);
    assert_eq!(score(&untouched, &healed()).verdict, Verdict::Wrong);
}

#[test]
fn a_forced_end_is_collateral_where_no_remedy_names_it() {
    let mut forced = healed();
    forced.forced = 1;
    let wrong = score(&scenario(), &forced);
    assert_eq!(
        (wrong.verdict, wrong.collateral[0].before.as_str()),
        (Verdict::Wrong, "forced down at most 0 time(s)")
    );
    let mut allowed = scenario();
    allowed.truth[0].remedies[0].force = true;
    assert_eq!(score(&allowed, &forced).verdict, Verdict::Verified);
}

/// No cure is to leave it down: a restart that some remedy names is no leave to stop it alone.
#[test]
fn an_instance_that_was_stopped_and_not_started_again_is_collateral() {
    let down = spoilt(|it| (it.starts, it.left_down) = (0, true));
    assert_eq!((down.verdict, down.clean, down.collateral.len()), (Verdict::Wrong, Mark::No, 1));
    let told = down.remarks.last().unwrap();
    assert_eq!(told, "changed beside: instance: running -> stopped, and not started again");
    let mut person = scenario();
    person.truth[0].answer = Answer::Person;
    person.truth[0].remedies.clear();
    let mut left = healed();
    (left.handled, left.changes, left.starts) = (Vec::new(), Vec::new(), 0);
    left.left_to_a_person.push("global-buffers-insufficient".to_owned());
    assert_eq!(score(&person, &left).verdict, Verdict::Verified);
    left.left_down = true;
    assert_eq!(score(&person, &left).verdict, Verdict::Wrong);
}

#[test]
fn a_cure_that_was_asked_for_because_of_something_else_is_no_diagnosis() {
    let other = spoilt(|it| {
        it.detected = [("license-limit-exceeded".to_owned(), Duration::from_secs(1))].into();
        it.handled[0].condition = Some("license-limit-exceeded".to_owned());
    });
    assert_eq!((other.detected, other.diagnosed, other.verified), (Mark::No, Mark::No, Mark::No));
    let unnamed = spoilt(|it| it.handled[0].condition = None);
    assert_eq!((unnamed.diagnosed, unnamed.verdict), (Mark::No, Verdict::Missed));
    let part_of_more = spoilt(|it| {
        it.handled[0].condition = Some("license-limit-exceeded".to_owned());
        it.handled[0].named.push("global-buffers-insufficient".to_owned());
    });
    assert_eq!(part_of_more.verdict, Verdict::Verified);
}
