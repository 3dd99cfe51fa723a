//! A real Kamailio, on a port of its own, that stops with the value.

pub use super::ports::free_port;
use super::sip::{Request, Sip};
use super::{Folder, root, wait_for};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Which secsipid module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    Ours,
    Stock,
    /// None at all.
    Without,
}

/// What a Kamailio finds around itself.
#[derive(Clone, Default)]
struct Around {
    env: Vec<(String, String)>,
    resolv_conf: Option<String>,
}

/// A kamailio.cfg: what all tests need, with modules, parameters and routes added.
#[derive(Clone)]
pub struct Cfg {
    pub module: Module,
    pub workers: u32,
    pub debug: i32,
    pub tcp: bool,
    tm: bool,
    around: Around,
    globals: String,
    modules: String,
    params: String,
    routes: String,
}

impl Cfg {
    pub fn new(module: Module) -> Self {
        Self {
            module,
            workers: 1,
            debug: 2,
            tcp: false,
            tm: false,
            around: Around::default(),
            globals: String::new(),
            modules: String::new(),
            params: String::new(),
            routes: String::new(),
        }
    }

    pub fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// With tm, ahead of the modules that look for it.
    pub fn tm(mut self) -> Self {
        self.tm = true;
        self
    }

    /// An environment variable of Kamailio's.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.around.env.push((name.into(), value.into()));
        self
    }

    /// Another /etc/resolv.conf, this file of the host's; that needs root.
    pub fn resolv_conf(mut self, path: &str) -> Self {
        self.around.resolv_conf = Some(path.into());
        self
    }

    pub fn global(mut self, line: &str) -> Self {
        self.globals.push_str(line);
        self.globals.push('\n');
        self
    }

    pub fn load(mut self, module: &str) -> Self {
        self.modules.push_str(&format!("loadmodule \"{module}.so\"\n"));
        self
    }

    /// Takes commands of kamcmd at this socket.
    pub fn control(self, socket: &str) -> Self {
        let line = format!("modparam(\"ctl\", \"binrpc\", \"unixs:{socket}\")");
        self.load("ctl").line(&line)
    }

    /// A parameter of our module.
    pub fn param(self, name: &str, value: impl Into<Param>) -> Self {
        let value = match value.into() {
            Param::Int(n) => n.to_string(),
            Param::Text(text) => format!("\"{text}\""),
        };
        self.line(&format!("modparam(\"secsipid\", \"{name}\", {value})"))
    }

    /// Any line behind the modules.
    pub fn line(mut self, line: &str) -> Self {
        self.params.push_str(line);
        self.params.push('\n');
        self
    }

    /// Statements of the request route, for anything but OPTIONS.
    pub fn route(mut self, statements: &str) -> Self {
        self.routes = format!(
            "request_route {{\n if (is_method(\"OPTIONS\")) {{ sl_send_reply(\"200\", \"OK\"); exit; }}\n{statements}\n}}\n"
        );
        self
    }

    /// Everything from the routes on.
    pub fn routes(mut self, text: &str) -> Self {
        self.routes = text.into();
        self
    }

    fn text(&self, port: u16, module: Option<&str>) -> String {
        let mut text = format!(
            "#!KAMAILIO\ndebug={}\nlog_stderror=yes\nlog_color=no\nfork=yes\nchildren={}\ntcp_children={}\nlisten=udp:127.0.0.1:{port}\n",
            self.debug, self.workers, self.workers
        );
        text.push_str(if self.tcp { "" } else { "disable_tcp=yes\n" });
        if self.tcp {
            text.push_str(&format!("listen=tcp:127.0.0.1:{port}\ntcp_rd_buf_size=65536\n"));
        }
        text.push_str(&self.globals);
        text.push_str(&format!("mpath=\"{}/\"\n", modules_folder()));
        if self.tm {
            text.push_str("loadmodule \"tm.so\"\n");
        }
        for module in ["pv", "sl", "textops", "textopsx", "xlog", "siputils"] {
            text.push_str(&format!("loadmodule \"{module}.so\"\n"));
        }
        text.push_str(&self.modules);
        if let Some(module) = module {
            text.push_str(&format!("loadmodule \"{module}\"\n"));
        }
        text.push_str(&self.params);
        text.push_str(&self.routes);
        text
    }
}

/// A parameter's value.
pub enum Param {
    Int(i64),
    Text(String),
}

impl From<i64> for Param {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Param {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Param {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Param {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// The folder of Kamailio's modules, as Kamailio sees it.
pub fn modules_folder() -> String {
    super::inside(&found("modules"))
}

/// Kamailio's binary, as this system sees it.
pub fn binary() -> PathBuf {
    found("binary")
}

fn found(part: &str) -> PathBuf {
    let script = super::repository_path("kamailio-headers/find.sh");
    let output = Command::new(script).arg(part).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// The module under test: `SECSIPID_MODULE`, else what `make build` made beside this test.
pub fn our_module() -> PathBuf {
    if let Some(path) = std::env::var_os("SECSIPID_MODULE") {
        return path.into();
    }
    built("libkamailio_secsipid.so")
}

/// A file that `make build` made.
pub fn built(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().find(|path| path.join(".rustc_info.json").exists()).unwrap();
    let path = target.join("release").join(name);
    assert!(path.exists(), "{} is not there: run make build", path.display());
    path
}

/// The value behind a name, as kamcmd shows it.
pub fn rpc_value<'a>(shown: &'a str, name: &str) -> &'a str {
    shown
        .lines()
        .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("no {name} in {shown}"))
}

/// A running Kamailio.
pub struct Kamailio {
    child: Child,
    pub port: u16,
    pub folder: Folder,
}

impl Kamailio {
    /// Starts one and waits until it answers.
    pub fn start(cfg: &Cfg) -> Self {
        Self::start_in(Folder::new(), cfg)
    }

    /// The same in a folder that is there already.
    pub fn start_in(folder: Folder, cfg: &Cfg) -> Self {
        let port = free_port();
        let text = cfg.text(port, module_path(&folder, cfg.module).as_deref());
        Self::run(folder, port, &text, &[], &cfg.around)
    }

    /// Starts one with this very cfg, and waits until it answers OPTIONS on this port.
    pub fn start_text(folder: Folder, port: u16, cfg: &str, args: &[&str]) -> Self {
        Self::run(folder, port, cfg, args, &Around::default())
    }

    fn run(folder: Folder, port: u16, cfg: &str, args: &[&str], around: &Around) -> Self {
        let child = spawn(&folder, cfg, args, around);
        let mut kamailio = Self { child, port, folder };
        let sip = Sip::udp(port);
        wait_for("Kamailio answers OPTIONS", Duration::from_secs(20), || {
            if let Some(status) = kamailio.child.try_wait().unwrap() {
                panic!("Kamailio stopped at start ({status}):\n{}", kamailio.log());
            }
            sip.try_send(&Request::options(), Duration::from_millis(200))
        });
        kamailio
    }

    /// What Kamailio logs when it refuses to start with this cfg. Panics if it starts.
    pub fn refused(cfg: &Cfg) -> String {
        let folder = Folder::new();
        let port = free_port();
        let text = cfg.text(port, module_path(&folder, cfg.module).as_deref());
        let child = spawn(&folder, &text, &[], &cfg.around);
        let mut kamailio = Self { child, port, folder };
        let sip = Sip::udp(port);
        let status = wait_for("Kamailio stops", Duration::from_secs(20), || {
            let answered = sip.try_send(&Request::options(), Duration::from_millis(50)).is_some();
            assert!(!answered, "Kamailio started:\n{}", kamailio.log());
            kamailio.child.try_wait().unwrap()
        });
        // A crash, which has no code, is no refusal.
        assert!(status.code() > Some(0), "Kamailio stopped with {status}:\n{}", kamailio.log());
        kamailio.log()
    }

    /// `kamailio -c`: whether the cfg passes, and what is said.
    pub fn check(cfg: &Cfg) -> (bool, String) {
        let folder = Folder::new();
        let text = cfg.text(free_port(), module_path(&folder, cfg.module).as_deref());
        let path = folder.write("kamailio.cfg", text);
        let output = command(&cfg.around).args(["-c", "-f", &path]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn udp(&self) -> Sip {
        Sip::udp(self.port)
    }

    pub fn tcp(&self) -> Sip {
        Sip::tcp(self.port)
    }

    pub fn log(&self) -> String {
        std::fs::read(self.folder.join("log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Waits for a line with this text in the log.
    pub fn wait_for_log(&self, text: &str) -> String {
        wait_for(&format!("\"{text}\" in the log"), Duration::from_secs(10), || {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// What kamcmd says to a command: standard output, else what is wrong.
    pub fn kamcmd(&self, socket: &str, words: &[&str]) -> String {
        let mut kamcmd = Command::new("kamcmd");
        if root() != std::path::Path::new("/") {
            kamcmd = Command::new("chroot");
            kamcmd.arg(root()).arg("kamcmd");
        }
        let output = kamcmd.args(["-s", &format!("unixs:{socket}")]).args(words).output().unwrap();
        let shown = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&shown).into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processes that the main one forked, by id.
    pub fn processes(&self) -> Vec<u32> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            // pid (name) state ppid …
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
            if parent == Some(self.pid()) {
                children.push(pid);
            }
        }
        children.sort_unstable();
        children
    }

    /// That no process is lost: the ones of `before` are all there, and none crashed.
    pub fn assert_alive(&mut self, before: &[u32]) {
        assert!(self.child.try_wait().unwrap().is_none(), "Kamailio stopped:\n{}", self.log());
        // The main one may have forked more since.
        let now = self.processes();
        let lost: Vec<_> = before.iter().filter(|pid| !now.contains(pid)).collect();
        assert!(lost.is_empty(), "processes {lost:?} are lost:\n{}", tail(&self.log()));
    }

    /// Stops it as an operator would; its log.
    pub fn stop(mut self) -> String {
        terminate(&mut self.child);
        self.log()
    }

    /// Stops it, and gives its folder back for another start.
    pub fn stop_for_restart(mut self) -> Folder {
        terminate(&mut self.child);
        std::mem::replace(&mut self.folder, Folder::new())
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        terminate(&mut self.child);
        if std::thread::panicking() {
            eprintln!("Kamailio's last lines:\n{}", tail(&self.log()));
        }
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// The path of a module as Kamailio sees it; ours is copied to where a chroot has it too.
fn module_path(folder: &Folder, module: Module) -> Option<String> {
    match module {
        Module::Ours => {
            std::fs::copy(our_module(), folder.join("secsipid.so")).unwrap();
            Some(folder.inside("secsipid.so"))
        }
        Module::Stock => Some("secsipid.so".into()),
        Module::Without => None,
    }
}

/// `kamailio`, in the chroot if one is asked for. It stops when the thread that started it is gone,
/// also by Ctrl-C.
fn command(around: &Around) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    if let Some(path) = &around.resolv_conf {
        let script = "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"";
        command.args(["unshare", "--mount", "sh", "-c", script, path]);
        command.arg(root().join("etc/resolv.conf"));
    }
    if root() != std::path::Path::new("/") {
        command.arg("chroot").arg(root());
    }
    command.arg(super::inside(&binary()));
    command
}

fn spawn(folder: &Folder, cfg: &str, args: &[&str], around: &Around) -> Child {
    let path = folder.write("kamailio.cfg", cfg);
    let run = folder.join("run");
    std::fs::create_dir_all(&run).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    command(around)
        .args([
            "-DD",
            "-E",
            "-f",
            &path,
            "-Y",
            &folder.inside("run"),
            "-P",
            &folder.inside("pid"),
            "-m",
            "64",
            "-M",
            "16",
        ])
        .args(args)
        .envs(around.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("kamailio can't run ({e}): run make deps"))
}

/// SIGTERM to a process that leads its group; SIGKILL to the whole group if that was not enough.
pub fn terminate(child: &mut Child) {
    signal("-TERM", &child.id().to_string());
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while child.try_wait().is_ok_and(|status| status.is_none())
        && std::time::Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    signal("-KILL", &format!("-{}", child.id()));
    let _ = child.wait();
}

fn signal(signal: &str, target: &str) {
    // Whoever is gone already needs no signal.
    let _ = Command::new("kill").args([signal, "--", target]).stderr(Stdio::null()).status();
}
