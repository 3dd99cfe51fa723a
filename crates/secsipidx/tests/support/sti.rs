//! A laboratory that is served, and a proxy before it that changes what it is told to.
#![allow(dead_code, missing_docs, clippy::unwrap_used, reason = "each test uses a part of it")]

use crate::support::{Folder, LIMIT, OURS, Service, free_port};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use sti::jose::AccountKey;

/// The configuration that the laboratory writes.
pub const CONFIG: &str = "lab/sti.toml";
/// Where it installs.
pub const KEY: &str = "lab/installed/key.pem";
pub const CERTIFICATE: &str = "lab/installed/cert.pem";

/// A laboratory that is served.
pub struct Sti {
    pub folder: Folder,
    pub service: Service,
    pub proxy: Option<Arc<Proxy>>,
}

impl Sti {
    /// HTTPS alone.
    pub fn start(args: &[&str]) -> Self {
        let folder = Folder::lab();
        let all = [&["lab", "serve", "lab", "--listen", "127.0.0.1:0"], args].concat();
        let service = Service::ours(&folder, &all, &[]);
        Self { folder, service, proxy: None }
    }

    /// STI-PA and STI-CA behind a proxy.
    pub fn behind_a_proxy(args: &[&str]) -> Self {
        let folder = Folder::lab();
        let proxy = Proxy::start();
        let url = format!("http://127.0.0.1:{}", proxy.port);
        let first = ["lab", "serve", "lab", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let all = [&first[..], &["--url", &url], args].concat();
        let service = Service::ours(&folder, &all, &[]);
        service.logged("HTTPS on");
        *proxy.behind.lock().unwrap() = service.port;
        Self { folder, service, proxy: Some(proxy) }
    }

    /// Runs our tool with the laboratory's configuration.
    pub fn run(&self, line: &str) -> Output {
        self.run_with(line, &[])
    }

    pub fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(OURS);
        command.args(line.split(' ')).args(["--config", CONFIG]).current_dir(&self.folder.0);
        command.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap()
    }

    /// The same; it must succeed. What it prints.
    pub fn done(&self, line: &str) -> String {
        let output = self.run(line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {:?} {stderr}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same; it must fail, with one line.
    pub fn failed(&self, line: &str, environment: &[(&str, &str)]) -> String {
        let output = self.run_with(line, environment);
        assert_eq!(output.status.code(), Some(1), "{environment:?} {line}: {output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = stderr.lines().filter(|line| !line.contains(" warning: ")).collect();
        let [one] = lines[..] else { panic!("{line}: not one line: {stderr}") };
        for secret in ["lab-password", "PRIVATE KEY"] {
            assert!(!stderr.contains(secret), "a secret: {stderr}");
        }
        one.to_owned()
    }

    /// Changes the configuration.
    pub fn edit(&self, from: &str, to: &str) {
        let text = self.folder.read(CONFIG);
        assert!(text.contains(from), "{from:?} is not in {text}");
        self.folder.write(CONFIG, text.replace(from, to));
    }

    /// Key, certificate and x5u in force; they belong together, and the x5u serves the certificate.
    pub fn in_force(&self) -> [String; 3] {
        let [key, certificate] = [KEY, CERTIFICATE].map(|name| self.folder.read(name));
        let x5u = self.folder.read("lab/installed/key.pem.d/current/x5u").trim().to_owned();
        let own = AccountKey::from_pem(&key).unwrap();
        let chain = stir::cert::Chain::from_pem(certificate.as_bytes()).unwrap();
        assert_eq!(chain.leaf().public_key_sec1().unwrap(), own.public.point(), "no pair");
        let line = format!("fetch {x5u} --http-ca lab/root.pem --out fetched.pem --force");
        self.folder.out(&line);
        assert_eq!(self.folder.read("fetched.pem"), certificate, "not published");
        [key, certificate, x5u]
    }

    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }
}

/// What a proxy does with a request.
#[derive(Clone)]
pub enum Fault {
    /// Answers itself.
    Reply(u16, &'static str, Vec<u8>),
    /// Changes what is asked.
    Ask(fn(Value) -> Value),
    /// Never answers.
    Silent,
    /// Never stops answering.
    Endless,
}

/// A proxy before the laboratory.
pub struct Proxy {
    pub port: u16,
    behind: Mutex<u16>,
    /// Part of the path, how many more times, and what is done.
    faults: Mutex<Vec<(String, usize, Fault)>>,
}

impl Proxy {
    fn start() -> Arc<Self> {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let proxy = Arc::new(Self { port, behind: Mutex::new(0), faults: Mutex::default() });
        let weak = Arc::downgrade(&proxy);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(proxy) = weak.upgrade() else { return };
                std::thread::spawn(move || proxy.serve(stream));
            }
        });
        proxy
    }

    /// From now on, so many times.
    pub fn fault(&self, path: &str, times: usize, fault: Fault) {
        self.faults.lock().unwrap().push((path.into(), times, fault));
    }

    /// From now on it changes nothing.
    pub fn clear(&self) {
        self.faults.lock().unwrap().clear();
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let (head, mut body) = read(&mut stream)?;
        let path = head.split(' ').nth(1)?.to_owned();
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let found = faults
                .iter_mut()
                .find(|(part, times, _)| path.contains(part.as_str()) && *times > 0);
            found.map(|(_, times, fault)| {
                *times -= 1;
                fault.clone()
            })
        };
        match fault {
            None => {}
            Some(Fault::Ask(change)) => {
                body = change(serde_json::from_slice(&body).unwrap_or_default()).to_string().into();
            }
            Some(Fault::Reply(status, headers, body)) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\nReplay-Nonce: none\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
                return Some(());
            }
            Some(Fault::Silent) => {
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
                return Some(());
            }
            Some(Fault::Endless) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").ok()?;
                while stream.write_all(&[b'x'; 65536]).is_ok() {}
                return Some(());
            }
        }
        let mut behind = TcpStream::connect(("127.0.0.1", *self.behind.lock().unwrap())).ok()?;
        let lines = head.split("\r\n").filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.is_empty()
                && !line.starts_with("content-length:")
                && !line.starts_with("connection:")
        });
        let mut head = lines.collect::<Vec<_>>().join("\r\n");
        head += &format!("\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        behind.write_all(&[head.as_bytes(), &body].concat()).ok()?;
        std::io::copy(&mut behind, &mut stream).ok()?;
        stream.shutdown(Shutdown::Both).ok()
    }
}

/// Head and body of a request.
fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
            });
            let body = bytes[end + 4..].to_vec();
            if body.len() >= length.unwrap_or(0) {
                return Some((head, body));
            }
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// A key of the laboratory.
pub fn key(folder: &Folder, name: &str) -> AccountKey {
    AccountKey::from_pem(&folder.read(name)).unwrap()
}

/// Unix seconds.
pub fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap()
}

/// A program of PyPI in a virtual environment of the build folder, made at the first run; or why
/// there is none.
pub fn python(name: &str, packages: &[&str]) -> Result<std::path::PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let program = folder.join("bin/python");
    let made = folder.join("made");
    if made.exists() {
        return Ok(program);
    }
    let run = |program: &Path, args: &[&str]| match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(e) => Err(format!("{}: {e}", program.display())),
    };
    run(Path::new("python3"), &["-m", "venv", &folder.display().to_string()])?;
    run(&folder.join("bin/pip"), &[&["install", "--quiet", "--retries", "10"], packages].concat())?;
    std::fs::write(made, "").map_err(|e| e.to_string())?;
    Ok(program)
}

/// Says that a test can't run here; not by eprintln!, which the test harness keeps to itself.
pub fn skipped(why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
}
