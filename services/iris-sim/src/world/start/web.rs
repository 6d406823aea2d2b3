//! The private web server, through which an instance tells its metrics.

use crate::world::World;
use crate::world::act::{Act, Entry, Severity};
use crate::world::facts::StartFacts;

impl World {
    /// Starts it where `[Startup] WebServer` wants one; complains where none is installed.
    pub(super) fn web_server(facts: &StartFacts) -> Vec<Act> {
        let parameters = &facts.parameters;
        if !parameters.web_server {
            return Vec::new();
        }
        if facts.private_web_server {
            return vec![Act::OpenWebServer { port: parameters.web_port }];
        }
        let missing = format!("Error: Could not open {}csp/bin/CSP.ini", facts.directory);
        [missing, "Error: <NOTOPEN>WebServer+38^STU1 in WebServer".to_owned()]
            .map(|text| Entry::utility(Severity::Severe, text).into())
            .into()
    }

    /// A port that somebody else has costs a warning only: the instance goes on without its web server.
    pub(in crate::world) fn web_server_answered(&self, listens: bool) -> Vec<Act> {
        let Some(parameters) = self.parameters.as_ref().filter(|_| !listens) else { return Vec::new() };
        let text = format!(
            "Private webserver may not start on port {}, may be in use by another instance",
            parameters.web_port
        );
        vec![Entry::utility(Severity::Warning, text).into()]
    }
}
