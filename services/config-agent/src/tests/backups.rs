use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use instance_contract::Digest;

use super::{CPF, Stage, code, kept};

fn backups(stage: &Stage) -> Vec<String> {
    stage.others().into_iter().filter(|name| name.starts_with("iris.cpf_instance_")).collect()
}

/// Makes a backup look as if it had been written so many hours after the epoch of these tests.
fn write_at(stage: &Stage, name: &str, text: &[u8], hours: u64) {
    let mut file = File::create(stage.path(name)).unwrap();
    std::io::Write::write_all(&mut file, text).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + hours * 3600)).unwrap();
}

#[test]
fn ten_changes_in_a_second_make_ten_backups_each_with_its_text() {
    let stage = Stage::new(CPF);
    let mut texts = Vec::new();
    for size in 0..10 {
        texts.push(stage.cpf());
        stage.change("globals", &format!("0,0,{},0,0,0", 1000 + size)).unwrap();
    }
    let names = backups(&stage);
    assert_eq!(names.len(), 10);
    for (name, text) in names.iter().zip(&texts) {
        assert_eq!(fs::read(stage.path(name)).unwrap(), *text, "{name}");
        assert!(name.ends_with(Digest::of(text).short()), "{name}");
    }
}

#[test]
fn a_file_with_the_highest_number_there_is_does_not_take_the_next_one() {
    let stage = Stage::new(CPF);
    let stranger = format!("iris.cpf_instance_{}_x", u64::MAX);
    fs::write(stage.path(&stranger), "of somebody else").unwrap();
    stage.change("globals", "0,0,512,0,0,0").unwrap();
    let names = backups(&stage);
    assert!(names.len() == 2 && names[0].starts_with("iris.cpf_instance_000001_"), "{names:?}");
}

#[test]
fn a_backup_is_never_overwritten() {
    let stage = Stage::new(CPF);
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    let name = prepared.material["backup"].as_str().unwrap().to_owned();
    fs::write(stage.path(&name), "of somebody else").unwrap();
    let failure = stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| Ok(())).unwrap_err();
    assert_eq!(code(&failure), "backup_taken");
    assert_eq!(
        (stage.cpf(), fs::read(stage.path(&name)).unwrap()),
        (CPF.to_vec(), b"of somebody else".to_vec())
    );
    // The next attempt takes the next number.
    stage.change("globals", "0,0,512,0,0,0").unwrap();
    assert_eq!(backups(&stage).len(), 2);

    // The one that was made before a crash is taken for what it is.
    let stage = Stage::new(CPF);
    let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
    fs::write(stage.path(&name), CPF).unwrap();
    stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| Ok(())).unwrap();
    assert_eq!(backups(&stage), std::slice::from_ref(&name));

    // The one that a crash has cut short is made whole.
    for bytes in [0, CPF.len() / 2] {
        let stage = Stage::new(CPF);
        let prepared = stage.prepare("globals", "0,0,512,0,0,0").unwrap();
        fs::write(stage.path(&name), &CPF[..bytes]).unwrap();
        stage.apply("globals", "0,0,512,0,0,0", &prepared, &|| Ok(())).unwrap();
        assert_eq!(
            (backups(&stage), fs::read(stage.path(&name)).unwrap()),
            (vec![name.clone()], CPF.to_vec())
        );
    }
}

#[test]
fn old_backups_go_but_the_newest_sound_one_and_the_young_ones_stay() {
    let mut stage = Stage::new(CPF);
    stage.config.kept_backups = kept(2);
    for (number, text, hours) in
        [(1, CPF, 0), (2, CPF, 1), (3, b"broken", 2), (4, b"broken", 3), (5, b"broken", 4)]
    {
        write_at(&stage, &format!("iris.cpf_instance_{number:06}_0123456789ab"), text, hours);
    }
    let foreign = [
        "_LastGood_.cpf",
        "iris.cpf_20260101",
        "iris.cpf_4711",
        "iris.cpf_instance_notes",
        "other.cpf_instance_000001_x",
    ];
    for name in foreign {
        write_at(&stage, name, b"not ours", 0);
    }
    // The newest backup is written now, years later: it counts as one of the two.
    stage.change("globals", "0,0,512,0,0,0").unwrap();
    let numbers: Vec<_> =
        backups(&stage).iter().filter_map(|name| name.get(18..24).map(str::to_owned)).collect();
    assert_eq!(numbers, ["000005", "000006", "notes"][..2]);
    for name in foreign {
        assert!(stage.path(name).exists(), "{name}");
    }

    // Were the new one broken too, the newest sound one would stay beside the two.
    let stage = {
        let mut stage = Stage::new(b"[config]\nglobals=0,0,256,0,0,0\n");
        stage.config.kept_backups = kept(2);
        stage
    };
    for (number, text, hours) in [(1, CPF, 0), (2, CPF, 1), (3, b"broken", 2), (4, b"broken", 3)] {
        write_at(&stage, &format!("iris.cpf_instance_{number:06}_0123456789ab"), text, hours);
    }
    stage.change("globals", "0,0,512,0,0,0").unwrap();
    let numbers: Vec<_> = backups(&stage).iter().map(|name| name[18..24].to_owned()).collect();
    assert_eq!(numbers, ["000002", "000004", "000005"]);

    // All of the last day may belong to an open remediation: policy lets it take so long.
    let mut stage = Stage::new(CPF);
    stage.config.kept_backups = kept(1);
    for size in 0..5 {
        stage.change("globals", &format!("0,0,{},0,0,0", 1000 + size)).unwrap();
    }
    assert_eq!(backups(&stage).len(), 5);

    let mut stage = Stage::new(CPF);
    stage.config.kept_backups = kept(1);
    let now = fs::metadata(stage.path("iris.cpf")).unwrap().modified().unwrap();
    for (number, hours) in [(1, 48), (2, 20)] {
        let name = format!("iris.cpf_instance_{number:06}_0123456789ab");
        let file = File::create(stage.path(&name)).unwrap();
        file.set_modified(now - Duration::from_hours(hours)).unwrap();
    }
    stage.change("globals", "0,0,512,0,0,0").unwrap();
    let numbers: Vec<_> = backups(&stage).iter().map(|name| name[18..24].to_owned()).collect();
    assert_eq!(numbers, ["000002", "000003"]);
}
