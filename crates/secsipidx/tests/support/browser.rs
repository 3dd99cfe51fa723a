//! Headless Chromium, driven over the WebDriver protocol (W3C) of chromedriver.

use super::{Folder, LIMIT};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What an element's id is called in answers (WebDriver §11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Milliseconds between two looks for what is awaited.
const AGAIN: Duration = Duration::from_millis(50);

/// A browser with one window, that ends with the value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Kept open: who writes into it when it is closed ends.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Browser {
    /// Its profile lies in the folder.
    pub fn start(folder: &Folder) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A group of its own, which the browser's processes share: all end with it.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("chromedriver (make deps installs it): {e}"));
        let mut stdout = BufReader::new(driver.stdout.take().unwrap());
        let mut browser = Self { driver, port: 0, session: String::new(), _stdout: None };
        let said = "successfully on port ";
        let mut lines = stdout.by_ref().lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains(said)).expect("where chromedriver listens");
        let port = line.rsplit(said).next().unwrap().trim_end_matches('.');
        browser.port = port.parse().unwrap_or_else(|_| panic!("{line}"));
        browser._stdout = Some(stdout);
        let profile = format!("--user-data-dir={}", folder.join("chromium").display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": LIMIT.as_millis() as u64},
        }}});
        let made = browser.call("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        browser
    }

    pub fn open(&self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    /// What a script returns.
    pub fn script(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of an element as it is seen.
    pub fn text(&self, css: &str) -> String {
        let id = self.find(css);
        self.call("GET", &self.path(&format!("element/{id}/text")), &Value::Null)
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits until an element's text has this in it.
    pub fn wait_text(&self, css: &str, part: &str) -> String {
        let mut seen = String::new();
        let rounds = LIMIT.as_millis() / AGAIN.as_millis();
        for _ in 0..rounds {
            seen = self.text(css);
            if seen.contains(part) {
                return seen;
            }
            std::thread::sleep(AGAIN);
        }
        panic!("{css} does not say {part:?} but {seen:?}");
    }

    /// What an element is called by a screen reader.
    pub fn label(&self, css: &str) -> String {
        let id = self.find(css);
        let label =
            self.call("GET", &self.path(&format!("element/{id}/computedlabel")), &Value::Null);
        label.as_str().unwrap().to_owned()
    }

    pub fn click(&self, css: &str) {
        let id = self.find(css);
        self.post(&format!("element/{id}/click"), &json!({}));
    }

    /// Types into an element; keys beside letters are in U+E000 and up (WebDriver §17.4.2).
    pub fn type_into(&self, css: &str, text: &str) {
        let id = self.find(css);
        self.post(&format!("element/{id}/value"), &json!({"text": text}));
    }

    /// A command of the browser's own protocol.
    pub fn devtools(&self, command: &str, params: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    /// What the browser complained of since the last call.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"}));
        let lines = log.as_array().unwrap_or_else(|| panic!("{log}"));
        lines.iter().map(|line| line["message"].to_string()).collect()
    }

    fn find(&self, css: &str) -> String {
        let found = self.post("element", &json!({"using": "css selector", "value": css}));
        found[ELEMENT].as_str().unwrap_or_else(|| panic!("{css}: {found}")).to_owned()
    }

    fn path(&self, command: &str) -> String {
        format!("/session/{}/{command}", self.session)
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let answer = self.call("POST", &self.path(command), body);
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.send(method, path, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        // A browser that starts on a busy machine takes its time.
        stream.set_read_timeout(Some(4 * LIMIT))?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all((head + &body).as_bytes())?;
        let mut reply = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reply.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        let mut octets = vec![0; length];
        reply.read_exact(&mut octets)?;
        let answer: Value = serde_json::from_slice(&octets)?;
        Ok(answer["value"].clone())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // So that it can put its own things away.
            let _ = self.send("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
