//! `/api/monitor/metrics`: what an instance tells about itself over its web port, as documented for Prometheus and
//! OpenTelemetry collectors. Needs no login by default.

use std::{io::Read as _, time::Duration};

/// A real answer has some twenty KB; beyond this it is no answer of IRIS.
const ANSWER_LIMIT: u64 = 8 * 1024 * 1024;

/// One reading: samples in the order in which they were told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Metrics(Vec<Sample>);

/// One line: `iris_db_size_mb{id="USER",dir="/usr/irissys/mgr/user/"} 11`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    #[error("could not read metrics from \"{url}\"")]
    Read { url: String, source: Box<ureq::Error> },
    #[error("could not read metrics from \"{url}\" to their end")]
    Torn { url: String, source: std::io::Error },
    /// Somebody else's web server, or a page that asks for a password.
    #[error("\"{url}\" told no metric of IRIS")]
    Nothing { url: String },
}

/// Where the private web server of an instance, or a web server on this host that passes on to it, tells its metrics.
pub fn metrics_url(web_server_port: u16) -> String {
    format!("http://127.0.0.1:{web_server_port}/api/monitor/metrics")
}

/// Asks once, at most for `limit`. No proxy is used, no redirect followed.
pub fn metrics(url: &str, limit: Duration) -> Result<Metrics, MonitorError> {
    // No time at all would be no limit.
    let limit = limit.max(Duration::from_millis(1));
    let settings = ureq::Agent::config_builder().timeout_global(Some(limit)).proxy(None).max_redirects(0);
    let agent: ureq::Agent = settings.build().into();
    let read = |source| MonitorError::Read { url: url.to_owned(), source: Box::new(source) };
    let mut answer = agent.get(url).call().map_err(read)?;
    let mut text = Vec::new();
    let body = answer.body_mut().as_reader().take(ANSWER_LIMIT).read_to_end(&mut text);
    body.map_err(|source| MonitorError::Torn { url: url.to_owned(), source })?;
    let metrics = Metrics::parse(&String::from_utf8_lossy(&text));
    if metrics.0.iter().any(|sample| sample.name.starts_with("iris_")) {
        Ok(metrics)
    } else {
        Err(MonitorError::Nothing { url: url.to_owned() })
    }
}

impl Metrics {
    /// Every line that is a sample; comments, and lines that nobody could have meant, are left out.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(sample).collect())
    }

    /// The one sample of that name without regard to labels; the first of several.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.named(name).next().map(|sample| sample.value)
    }

    /// A count: never negative, never a fraction.
    pub fn count(&self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        let whole = value >= 0.0 && value.fract() == 0.0 && value < 9e15;
        // Below 9e15 each whole number is exact.
        whole.then(|| format!("{value:.0}").parse().ok()).flatten()
    }

    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> + 'a {
        self.0.iter().filter(move |sample| sample.name == name)
    }
}

impl Sample {
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    // A time may follow the value. IRIS leaves the zero before the point away: `.32`.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// `id="USER",dir="c:\\mgr\\"} 11` to its labels and what follows the brace.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((found, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        found.push((name.to_owned(), value));
        rest = &quoted[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener, thread};

    use super::*;

    #[test]
    fn lines_as_real_instances_write_them_are_read() {
        let text = "iris_cpu_pct{id=\"WRTDMN\"} 0\niris_db_free_space{id=\"HSSYSLOCALTEMP\"} .32\n\
            iris_db_size_mb{id=\"USER\",dir=\"c:\\\\iris\\\\mgr\\\\user\\\\\"} 11\n# HELP x y\n\nnonsense\n\
            iris_trans_open_count 2\niris_system_state 1\niris_cache_efficiency 1047.524\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.0.len(), 6);
        assert_eq!(metrics.value("iris_db_free_space"), Some(0.32));
        let size = metrics.named("iris_db_size_mb").next().unwrap();
        assert_eq!((size.label("dir"), size.label("id")), (Some("c:\\iris\\mgr\\user\\"), Some("USER")));
        assert_eq!(metrics.count("iris_trans_open_count"), Some(2));
        assert_eq!(metrics.count("iris_cache_efficiency"), None, "no count");
        assert_eq!(metrics.count("iris_license_consumed"), None);
    }

    /// Answers one question with these bytes.
    fn server(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        });
        port
    }

    #[test]
    fn an_answer_that_is_not_of_iris_is_no_reading() {
        let good = server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\niris_process_count 12\n");
        let limit = Duration::from_secs(5);
        let found = metrics(&metrics_url(good), limit).unwrap();
        assert_eq!(found.count("iris_process_count"), Some(12));
        let login = server("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html>Login</html>");
        assert!(matches!(metrics(&metrics_url(login), limit), Err(MonitorError::Nothing { .. })));
        let missing = server("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
        assert!(matches!(metrics(&metrics_url(missing), limit), Err(MonitorError::Read { .. })));
    }

    #[test]
    fn nobody_is_waited_for_longer_than_the_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let began = std::time::Instant::now();
        metrics(&metrics_url(port), Duration::from_millis(200)).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
