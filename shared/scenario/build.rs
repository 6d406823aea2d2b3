//! Names every file of `scenarios/`, so that adding a scenario is adding a file.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    println!("cargo::rerun-if-changed={}", folder.display());
    let folder = fs::canonicalize(folder).expect("the tree has its scenarios");
    let files = fs::read_dir(&folder).expect("the folder can be read");
    let mut names: Vec<String> = files
        .map(|file| file.expect("the folder can be read").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    let mut text = "/// Name and text of every file.\nconst FILES: &[(&str, &str)] = &[\n".to_owned();
    for name in names {
        let path = folder.join(format!("{name}.toml"));
        println!("cargo::rerun-if-changed={}", path.display());
        let path = path.to_string_lossy();
        writeln!(text, "({name:?}, include_str!({path:?})),").expect("writing to a string cannot fail");
    }
    text.push_str("];\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("files.rs"), text).expect("the output folder can be written");
}
