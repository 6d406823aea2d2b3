//! Draft and CPF change names: what somebody else does in between is never lost, and what a crash leaves is settled.

use std::{
    cell::RefCell,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use instance_agent::{Applied, Prepared, Probe};
use instance_contract::Failure;

use super::{CPF, Stage, code};
use crate::{
    folder::Call,
    host::{Host, LocalHost},
};

type Meddler = Box<dyn FnMut(Call<'_>) -> io::Result<()>>;

thread_local! {
    /// Somebody who acts between two calls of this thread.
    static MEDDLER: RefCell<Option<Meddler>> = const { RefCell::new(None) };
}

/// Called before each call that changes the folder; an error is the call's.
pub fn meddle(call: Call<'_>) -> io::Result<()> {
    MEDDLER.with_borrow_mut(|meddler| meddler.as_mut().map_or(Ok(()), |meddler| meddler(call)))
}

const WANTED: (&str, &str) = ("globals", "0,0,512,0,0,0");

fn with(from: &str, to: &str) -> Vec<u8> {
    String::from_utf8(CPF.to_vec()).unwrap().replace(from, to).into_bytes()
}

fn changed() -> Vec<u8> {
    with("globals=0,0,256", "globals=0,0,512")
}

/// A change beside a meddler.
fn apply(
    stage: &Stage,
    prepared: &Prepared,
    meddler: impl FnMut(Call<'_>) -> io::Result<()> + 'static,
) -> Result<Applied, Failure> {
    MEDDLER.set(Some(Box::new(meddler)));
    let outcome = stage.apply(WANTED.0, WANTED.1, prepared, &|| Ok(()));
    MEDDLER.set(None);
    outcome
}

/// Somebody who acts once, between the last look and the exchange.
fn rival(stage: &Stage, act: fn(&Path)) -> impl FnMut(Call<'_>) -> io::Result<()> + 'static {
    let cpf = stage.path("iris.cpf");
    let mut has_acted = false;
    move |call| {
        if matches!(call, Call::Exchange { .. }) && !has_acted {
            has_acted = true;
            act(&cpf);
        }
        Ok(())
    }
}

/// A call of the process, and how many such calls it makes before it dies at one.
type Death = (fn(Call<'_>) -> bool, u32);

const AT_EXCHANGE: Death = (|call| matches!(call, Call::Exchange { .. }), 0);
/// After the exchange, before the old file has the name of the backup. First it is the draft that gets another name.
const AT_NAMING: Death = (|call| matches!(call, Call::Place { .. }), 1);
/// What was replaced was not what was planned on.
const AT_EXCHANGE_BACK: Death = (AT_EXCHANGE.0, 1);

/// The process dies, beside somebody who acts between its last look and the exchange.
fn death(
    stage: &Stage,
    (is_such, mut more): Death,
    act: fn(&Path),
) -> impl FnMut(Call<'_>) -> io::Result<()> + 'static {
    let mut rival = rival(stage, act);
    let mut is_dead = false;
    move |call| {
        if is_such(call) {
            is_dead |= more == 0;
            more = more.saturating_sub(1);
        }
        if is_dead { Err(io::Error::other("nobody is there any more")) } else { rival(call) }
    }
}

fn backup(prepared: &Prepared) -> String {
    prepared.material["backup"].as_str().unwrap().to_owned()
}

fn beside(cpf: &Path, name: &str) -> PathBuf {
    cpf.with_file_name(name)
}

fn write_theirs(cpf: &Path) {
    fs::write(cpf, with("routines=64", "routines=99")).unwrap();
}

fn replace_by(cpf: &Path, text: &[u8]) {
    let draft = beside(cpf, "theirs");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, cpf).unwrap();
}

fn settle(stage: &Stage) -> Result<(), Failure> {
    stage.with_site(|site| site.host.settle(site.instance))
}

#[test]
fn whatever_happens_between_the_last_look_and_the_exchange_stays() {
    type Act = fn(&Path);
    let cases: [(&str, Act); 6] = [
        ("lost_update", write_theirs),
        ("lost_update", |cpf| replace_by(cpf, &with("routines=64", "routines=99"))),
        ("lost_update", |cpf| fs::set_permissions(cpf, Permissions::from_mode(0o600)).unwrap()),
        ("symbolic_link", |cpf| {
            fs::rename(cpf, beside(cpf, "real")).unwrap();
            symlink("real", cpf).unwrap();
        }),
        ("hard_link", |cpf| fs::hard_link(cpf, beside(cpf, "link")).unwrap()),
        ("file_missing", |cpf| fs::remove_file(cpf).unwrap()),
    ];
    for (number, (word, act)) in cases.into_iter().enumerate() {
        let (stage, alone) = (Stage::new(CPF), Stage::new(CPF));
        for stage in [&stage, &alone] {
            fs::set_permissions(stage.path("iris.cpf"), Permissions::from_mode(0o640)).unwrap();
        }
        let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
        let failure = apply(&stage, &prepared, rival(&stage, act)).unwrap_err();
        assert_eq!(code(&failure), word, "case {number}: {failure}");
        assert!(!matches!(failure, Failure::Unknown { .. }), "case {number}: {failure}");
        // The folder is as they have left it, as if nobody else had been there.
        act(&alone.path("iris.cpf"));
        let seen = |stage: &Stage| {
            let cpf = stage.path("iris.cpf");
            let mode = fs::symlink_metadata(&cpf).map(|found| found.mode()).ok();
            (fs::read(&cpf).ok(), mode, stage.others())
        };
        assert_eq!(seen(&stage), seen(&alone), "case {number}");
    }
}

#[test]
fn both_texts_are_told_of_a_file_that_was_written_in_between() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
    let failure = apply(&stage, &prepared, rival(&stage, write_theirs)).unwrap_err();
    assert!(matches!(failure, Failure::Transient { .. }), "{failure}");
    let told = &failure.cause().message;
    assert!(told.contains("[config] routines (\"64\" then, \"99\" now)"), "{told}");
    // The next attempt looks afresh and keeps what they have written.
    stage.change(WANTED.0, WANTED.1).unwrap();
    let both = String::from_utf8(changed()).unwrap().replace("routines=64", "routines=99");
    assert_eq!(stage.cpf(), both.into_bytes());
}

#[test]
fn a_file_that_was_replaced_by_its_like_becomes_the_backup() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
    apply(&stage, &prepared, rival(&stage, |cpf| replace_by(cpf, CPF))).unwrap();
    assert_eq!((stage.cpf(), stage.others()), (changed(), vec![backup(&prepared)]));
    assert_eq!(fs::read(stage.path(&backup(&prepared))).unwrap(), CPF);
}

/// A second one comes while the file of the first is given its name again.
#[test]
fn of_two_who_write_in_between_neither_loses_a_byte() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
    let second = with("routines=64", "routines=77");
    let (cpf, theirs) = (stage.path("iris.cpf"), second.clone());
    let mut exchanges = 0;
    let failure = apply(&stage, &prepared, move |call| {
        exchanges += u32::from(matches!(call, Call::Exchange { .. }));
        match (call, exchanges) {
            (Call::Exchange { .. }, 1) => write_theirs(&cpf),
            (Call::Exchange { .. }, 2) => replace_by(&cpf, &theirs),
            _ => {}
        }
        Ok(())
    });
    assert_eq!(code(&failure.unwrap_err()), "lost_update");
    assert_eq!(stage.cpf(), with("routines=64", "routines=99"));
    let others = stage.others();
    assert!(others.len() == 1 && others[0].starts_with("iris.cpf_instance_"), "{others:?}");
    assert_eq!(fs::read(stage.path(&others[0])).unwrap(), second);
}

#[test]
fn the_backup_is_the_very_file_and_as_young_as_the_change() {
    let stage = Stage::new(CPF);
    let path = stage.path("iris.cpf");
    let years_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().append(true).open(&path).unwrap().set_modified(years_ago).unwrap();
    let before = fs::metadata(&path).unwrap();
    let (prepared, _) = stage.change(WANTED.0, WANTED.1).unwrap();
    let backup = fs::metadata(stage.path(&backup(&prepared))).unwrap();
    assert_eq!(backup.ino(), before.ino());
    assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
    assert!(backup.modified().unwrap() > years_ago + Duration::from_hours(24));
}

#[test]
fn who_still_has_the_old_file_open_writes_into_the_backup_and_it_is_told() {
    // While it is replaced, after the look.
    let stage = Stage::new(CPF);
    let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
    let mut open = OpenOptions::new().append(true).open(stage.path("iris.cpf")).unwrap();
    let applied = apply(&stage, &prepared, move |call| match call {
        Call::SyncFolder => open.write_all(b"\r\nlate"),
        _ => Ok(()),
    });
    let warnings = applied.unwrap().warnings;
    assert!(warnings.iter().any(|told| told.contains(&backup(&prepared))), "{warnings:?}");
    assert_eq!(stage.cpf(), changed());

    // And long after it.
    let stage = Stage::new(CPF);
    let mut open = OpenOptions::new().append(true).open(stage.path("iris.cpf")).unwrap();
    let (prepared, applied) = stage.change(WANTED.0, WANTED.1).unwrap();
    assert!(!applied.warnings.iter().any(|told| told.contains(&backup(&prepared))), "{:?}", applied.warnings);
    open.write_all(b"\r\nlate").unwrap();
    let undone = stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), CPF);
    let told = undone.warnings.join("; ");
    assert!(told.contains(&backup(&prepared)), "{told}");
    let theirs = fs::read(stage.path(&backup(&prepared))).unwrap();
    assert!(theirs.ends_with(b"\r\nlate"), "{}", String::from_utf8_lossy(&theirs));
}

/// What the next one finds who looks.
fn left_by(dies: Death, act: fn(&Path)) -> (Stage, Prepared) {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
    apply(&stage, &prepared, death(&stage, dies, act)).unwrap_err();
    assert!(stage.others().iter().any(|name| name.contains("_new_")), "{:?}", stage.others());
    (stage, prepared)
}

#[test]
fn a_death_before_the_exchange_leaves_the_old_file_and_nothing_else() {
    let (stage, prepared) = left_by(AT_EXCHANGE, |_| {});
    assert_eq!(stage.probe(&prepared), Probe::NotDone);
    assert_eq!((stage.cpf(), stage.others()), (CPF.to_vec(), Vec::new()));
}

#[test]
fn a_death_after_the_exchange_leaves_the_new_file_and_the_backup() {
    let (stage, prepared) = left_by(AT_NAMING, |_| {});
    assert_eq!(stage.cpf(), changed());
    // Its number is taken, though it has no name yet.
    let next = backup(&stage.prepare("routines", "128").unwrap());
    assert!(next.starts_with("iris.cpf_instance_000002_"), "{next}");
    assert!(matches!(stage.probe(&prepared), Probe::Done(_)));
    assert_eq!((stage.cpf(), stage.others()), (changed(), vec![backup(&prepared)]));
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), CPF);

    // Somebody has written the CPF before the next start of the agent: it is theirs.
    let (stage, prepared) = left_by(AT_NAMING, |_| {});
    replace_by(&stage.path("iris.cpf"), b"theirs");
    settle(&stage).unwrap();
    assert_eq!((stage.cpf(), stage.others()), (b"theirs".to_vec(), vec![backup(&prepared)]));

    // And has taken the name of the backup: it gets the next one.
    let (stage, prepared) = left_by(AT_NAMING, |_| {});
    fs::write(stage.path(&backup(&prepared)), "theirs").unwrap();
    settle(&stage).unwrap();
    let others = stage.others();
    assert!(others.len() == 2 && others[1].starts_with("iris.cpf_instance_000002_"), "{others:?}");
    assert_eq!(fs::read(stage.path(&others[1])).unwrap(), CPF);
    stage.undo(&prepared).unwrap();
    assert_eq!(stage.cpf(), CPF);
}

#[test]
fn a_death_after_an_exchange_that_took_somebody_by_surprise_gives_them_their_file_again() {
    let theirs = with("routines=64", "routines=99");
    let (stage, prepared) = left_by(AT_EXCHANGE_BACK, write_theirs);
    assert_eq!(stage.cpf(), changed());
    assert_eq!(stage.probe(&prepared), Probe::NotDone);
    assert_eq!(stage.cpf(), theirs);
    // What was ours is not thrown away where nobody knows any more what it held.
    assert!(stage.others().iter().all(|name| fs::read(stage.path(name)).unwrap() == changed()));

    // A link is no file to plan on either.
    let (stage, _) = left_by(AT_EXCHANGE_BACK, |cpf| {
        fs::rename(cpf, beside(cpf, "real")).unwrap();
        symlink("real", cpf).unwrap();
    });
    settle(&stage).unwrap();
    assert!(fs::symlink_metadata(stage.path("iris.cpf")).unwrap().is_symlink());
    assert_eq!(stage.cpf(), CPF);
    assert!(!stage.others().iter().any(|name| name.starts_with('.')), "{:?}", stage.others());

    // Somebody else came after: theirs stays, and what was replaced is kept.
    let (stage, _) = left_by(AT_EXCHANGE_BACK, write_theirs);
    replace_by(&stage.path("iris.cpf"), b"another");
    settle(&stage).unwrap();
    assert_eq!(stage.cpf(), b"another");
    let others = stage.others();
    assert!(others.len() == 1 && others[0].starts_with("iris.cpf_instance_"), "{others:?}");
    assert_eq!(fs::read(stage.path(&others[0])).unwrap(), theirs);
}

#[test]
fn what_another_process_is_in_the_middle_of_is_not_settled() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare(WANTED.0, WANTED.1).unwrap();
    let settings = (stage.config.clone(), stage.instance().clone());
    let outcomes = std::rc::Rc::new(RefCell::new(Vec::new()));
    let seen = std::rc::Rc::clone(&outcomes);
    apply(&stage, &prepared, move |call| {
        // The draft lies where the exchange finds it; then the old file does.
        if matches!(call, Call::Exchange { .. } | Call::Place { .. }) {
            let (config, instance) = settings.clone();
            let other = std::thread::spawn(move || LocalHost::of(&config).settle(&instance));
            seen.borrow_mut().push(other.join().unwrap());
        }
        Ok(())
    })
    .unwrap();
    let words: Vec<_> = outcomes
        .borrow()
        .iter()
        .map(|told| told.clone().map_err(|failure| code(&failure).to_owned()))
        .collect();
    assert_eq!(words, [Ok(()), Err("busy".to_owned()), Err("busy".to_owned())]);
    assert_eq!((stage.cpf(), stage.others()), (changed(), vec![backup(&prepared)]));
}
