//! The inventor beside a writer of lines that were rendered before: rendering alone, and to disk.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use instance_contract::GenerationRequest;
use instance_invent::{Inventor, Pace, Templates, start_of};

use crate::{
    Arguments,
    measure::{Goal, Job, Report, Time, medians},
    yardstick::{CHUNK, pre_rendered},
};

/// The processor time of pre-rendered lines, and of the inventor, rendering only.
pub fn measure(folder: &Path, arguments: &Arguments, report: &mut Report) -> [Duration; 2] {
    let bytes = arguments.mb << 20;
    let templates = Templates::builtin().unwrap();
    let (ready, invented) = (folder.join("ready.log"), folder.join("invented.log"));
    let to_disk = |path: &Path, write: &dyn Fn(&mut File)| {
        let mut file = File::create(path).unwrap();
        write(&mut file);
        file.sync_all().unwrap();
        drop(file);
        fs::remove_file(path).unwrap();
    };
    let mut jobs: Vec<Job<'_>> = vec![
        ("pre-rendered", Box::new(|| pre_rendered(&mut nowhere(), bytes).unwrap())),
        ("invented", Box::new(|| invent(&templates, &mut nowhere(), bytes).unwrap())),
    ];
    let times = medians(arguments.rounds, Time::Processor, &mut jobs);
    let mut disk: Vec<Job<'_>> = vec![
        (
            "pre-rendered, disk",
            Box::new(|| {
                to_disk(&ready, &|file| pre_rendered(file, bytes).unwrap());
            }),
        ),
        (
            "invented, disk",
            Box::new(|| {
                to_disk(&invented, &|file| invent(&templates, file, bytes).unwrap());
            }),
        ),
    ];
    let wall = medians(arguments.rounds, Time::Wall, &mut disk);
    let rate = |at: usize| bytes as f64 / times[at].as_secs_f64() / 1e9;
    report.add("pre-rendered lines, rendering only", rate(0), "GB/s", Goal::None);
    report.add("inventor, rendering only", rate(1), "GB/s", Goal::None);
    report.add("inventor, of pre-rendered lines", rate(1) / rate(0), "", Goal::AtLeast(0.5));
    report.add(
        "pre-rendered lines, to disk and synced",
        bytes as f64 / wall[0].as_secs_f64() / 1e9,
        "GB/s",
        Goal::None,
    );
    report.add(
        "inventor to disk, of pre-rendered lines",
        wall[0].as_secs_f64() / wall[1].as_secs_f64(),
        "",
        Goal::AtLeast(0.9),
    );
    [times[0], times[1]]
}

fn nowhere() -> File {
    File::options().write(true).open("/dev/null").unwrap()
}

fn invent(templates: &Templates, out: &mut impl Write, bytes: usize) -> io::Result<()> {
    let request = GenerationRequest { count: 100, ..GenerationRequest::default() };
    let mut inventor =
        Inventor::new(&request, templates, 42, start_of(42)).unwrap().at_pace(Pace::Every(31_000));
    let mut buffer = Vec::with_capacity(CHUNK + 4096);
    let mut written = 0;
    while written < bytes {
        buffer.clear();
        while buffer.len() < CHUNK {
            inventor.line(&mut buffer);
        }
        out.write_all(&buffer)?;
        written += buffer.len();
    }
    Ok(())
}
