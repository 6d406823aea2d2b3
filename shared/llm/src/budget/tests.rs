use std::time::Duration;

use instance_clock::MockClock;

use super::*;

struct Desk {
    folder: tempfile::TempDir,
    clock: Arc<MockClock>,
}

impl Desk {
    fn new() -> Self {
        let clock = Arc::new(MockClock::new("2026-09-01T23:59:00Z".parse().unwrap()));
        Self { folder: tempfile::tempdir().unwrap(), clock }
    }

    fn open(&self) -> Budget {
        Budget::open(Settings::default(), self.folder.path(), self.clock.clone()).unwrap()
    }

    fn file(&self, day: &str) -> PathBuf {
        self.folder.path().join("spent").join(format!("{day}.jsonl"))
    }
}

fn purpose() -> Purpose {
    Purpose { provider: "main".to_owned(), model: "m".to_owned(), prompt: "finding@1".to_owned() }
}

fn account(session: &str, remediation: Option<&str>) -> Account {
    Account { session: session.to_owned(), remediation: remediation.map(str::to_owned) }
}

const fn tokens(input_tokens: u64, output_tokens: u64) -> Usage {
    Usage { input_tokens, output_tokens }
}

fn spend(budget: &Budget, account: &Account, total: u64, micro_usd: u64) -> Result<(), Error> {
    let reserved = budget.reserve(account, &purpose(), tokens(total, 0), micro_usd)?;
    budget.settle(reserved, tokens(total, 0), micro_usd)
}

fn limit(outcome: Result<(), Error>) -> Option<Limit> {
    match outcome {
        Ok(()) => None,
        Err(Error::Spent { limit, .. }) => Some(limit),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_remediation_stops_at_its_tokens_and_dollars_and_others_go_on() {
    let desk = Desk::new();
    let budget = desk.open();
    let (first, second) = (account("s", Some("r1")), account("s", Some("r2")));
    assert_eq!(limit(spend(&budget, &first, 4_900, 0)), None);
    assert_eq!(limit(spend(&budget, &first, 101, 0)), Some(Limit::RemediationTokens));
    assert_eq!(limit(spend(&budget, &first, 100, 0)), None, "up to the last token");
    assert_eq!(limit(spend(&budget, &second, 10, 499_999)), None);
    assert_eq!(limit(spend(&budget, &second, 10, 2)), Some(Limit::RemediationMicroUsd));
    assert_eq!(limit(spend(&budget, &second, 10, 0)), None, "what is free is not stopped by dollars");
}

#[test]
fn what_an_endpoint_claims_stops_calls_and_nothing_else() {
    let desk = Desk::new();
    let budget = desk.open();
    let account = account("s", Some("r"));
    spend(&budget, &account, 1, 1).unwrap();
    let reserved = budget.reserve(&account, &purpose(), tokens(1, 0), 1).unwrap();
    budget.settle(reserved, tokens(u64::MAX, u64::MAX), u64::MAX).unwrap();
    assert!(limit(spend(&budget, &account, 1, 1)).is_some());
    budget.report().unwrap();
}

#[test]
fn a_session_and_a_day_stop_at_their_tokens() {
    let desk = Desk::new();
    let budget = desk.open();
    for session in 0..10 {
        assert_eq!(limit(spend(&budget, &account(&session.to_string(), None), 50_000, 0)), None);
        let more = limit(spend(&budget, &account(&session.to_string(), None), 1, 0));
        assert_eq!(more, Some(if session < 9 { Limit::SessionTokens } else { Limit::DayTokens }));
    }
    desk.clock.advance(Duration::from_mins(1));
    assert_eq!(limit(spend(&budget, &account("new", None), 50_000, 0)), None, "the next day");
}

#[test]
fn a_new_process_and_a_second_one_beside_it_know_what_was_spent() {
    let desk = Desk::new();
    let (first, second) = (desk.open(), desk.open());
    let account = account("s", Some("r"));
    spend(&first, &account, 3_000, 0).unwrap();
    assert_eq!(limit(spend(&second, &account, 3_000, 0)), Some(Limit::RemediationTokens));
    desk.clock.advance(Duration::from_mins(2));
    let restarted = desk.open();
    assert_eq!(limit(spend(&restarted, &account, 3_000, 0)), Some(Limit::RemediationTokens), "over midnight");
}

#[test]
fn a_call_whose_process_died_counts_with_the_most_it_may_have_cost() {
    let desk = Desk::new();
    let account = account("s", Some("r"));
    drop(desk.open().reserve(&account, &purpose(), tokens(100, 4_000), 0).unwrap());
    assert_eq!(limit(spend(&desk.open(), &account, 1_000, 0)), Some(Limit::RemediationTokens));
    let report = desk.open().report().unwrap();
    assert_eq!((report.today.calls, report.today.output_tokens), (1, 4_000));
}

#[test]
fn a_call_that_came_to_nothing_costs_nothing() {
    let desk = Desk::new();
    let budget = desk.open();
    let account = account("s", Some("r"));
    let reserved = budget.reserve(&account, &purpose(), tokens(100, 4_900), 0).unwrap();
    budget.settle(reserved, Usage::default(), 0).unwrap();
    assert_eq!(limit(spend(&budget, &account, 5_000, 0)), None);
    assert_eq!(budget.report().unwrap().today.calls, 1);
}

#[test]
fn garbage_and_a_torn_line_take_nothing_away() {
    use std::io::Write as _;
    let desk = Desk::new();
    let account = account("s", Some("r"));
    spend(&desk.open(), &account, 3_000, 0).unwrap();
    let mut file = std::fs::File::options().append(true).open(desk.file("2026-09-01")).unwrap();
    file.write_all(b"garbage\n\xff\xfe\n{\"id\":\"torn").unwrap();
    let budget = desk.open();
    assert_eq!(limit(spend(&budget, &account, 2_001, 0)), Some(Limit::RemediationTokens));
    spend(&budget, &account, 1_000, 0).unwrap();
    let report = desk.open().report().unwrap();
    assert_eq!((report.today.calls, report.today.input_tokens, report.unreadable_lines), (2, 4_000, 3));
}

#[test]
fn a_folder_that_cannot_be_written_stops_everything() {
    let desk = Desk::new();
    let file = desk.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        Budget::open(Settings::default(), &file, desk.clock.clone()),
        Err(Error::Record { operation: "make a folder for", .. })
    ));
}

#[test]
fn a_report_tells_by_remediation_session_model_and_day() {
    let desk = Desk::new();
    let budget = desk.open();
    spend(&budget, &account("s1", Some("r1")), 1_000, 200).unwrap();
    desk.clock.advance(Duration::from_mins(2));
    spend(&budget, &account("s1", Some("r2")), 500, 700).unwrap();
    spend(&budget, &account("s2", None), 10, 0).unwrap();
    let report = budget.report().unwrap();
    let names = |costs: &[NamedCost]| costs.iter().map(|cost| cost.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&report.remediations), ["r2", "r1"]);
    assert_eq!(names(&report.sessions), ["s1", "s2"]);
    assert_eq!(names(&report.models), ["main/m"]);
    assert_eq!((report.today.input_tokens, report.today.calls), (510, 2));
    let days: Vec<_> = report.days.iter().map(|day| (day.day.to_string(), day.amount.input_tokens)).collect();
    assert_eq!(days, [("2026-09-01".to_owned(), 1_000), ("2026-09-02".to_owned(), 510)]);
    assert_eq!(report.ledger, desk.open().report().unwrap().ledger);
    assert_eq!(serde_json::from_str::<CostReport>(&serde_json::to_string(&report).unwrap()).unwrap(), report);
}

#[test]
fn parallel_calls_never_set_aside_more_than_there_is() {
    let desk = Desk::new();
    let budgets = [desk.open(), desk.open()];
    let account = account("s", Some("r"));
    let taken: usize = std::thread::scope(|scope| {
        let tries = (0..16).map(|at| {
            let (budget, account) = (&budgets[at % 2], &account);
            scope.spawn(move || usize::from(budget.reserve(account, &purpose(), tokens(1_000, 0), 0).is_ok()))
        });
        tries.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(taken, 5);
}

#[test]
fn a_price_is_rounded_up() {
    assert_eq!(cost(tokens(1_000, 500), 0.15, 0.6), 450);
    assert_eq!(cost(tokens(1, 0), 0.15, 0.6), 1);
    assert_eq!(cost(tokens(1, 1), 0.0, 0.0), 0);
}
