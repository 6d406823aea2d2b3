//! The settings file that is shipped can be read.

use std::path::Path;

use instance_generator::{Config, StartAt};

#[test]
fn the_shipped_settings_are_ours() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/config/generator.toml");
    let config: Config =
        instance_chassis::check_file("generator", &file, None).expect("the shipped file is legal");
    assert_eq!(config.instances.len(), 1);
    assert_eq!(config.start_at, StartAt::End, "old trouble of a host is not told at the first start");
}
