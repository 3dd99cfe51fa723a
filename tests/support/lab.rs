//! A certification authority with a signer's certificate: the laboratory of `secsipidx ca`. OpenSSL
//! makes what that has no use for: keys of other kinds, certificates that have expired or share a
//! key, those of web servers.

use super::Folder;
use super::kamailio::built;
use std::process::Command;

/// Files in a folder: those of `secsipidx ca`, `ca.pem` (the trust anchor), `cert.pem` (SPC 1234 with
/// its chain) and `key.pem`, which are three of them, and what is asked for.
pub struct Lab {
    pub folder: Folder,
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self { folder: Folder::new() };
        lab.secsipidx("ca . --days 30");
        for (name, of) in
            [("ca.pem", "root.pem"), ("cert.pem", "spc-1234.pem"), ("key.pem", "spc-1234-key.pem")]
        {
            std::fs::copy(lab.folder.join(of), lab.folder.join(name)).unwrap();
        }
        lab
    }

    /// Makes a private key: `EC:P-256`, `EC:P-384`, `RSA`, `ED25519`.
    pub fn key(&self, name: &str, kind: &str) -> String {
        match kind.split_once(':') {
            Some((_, "P-256")) => self.secsipidx(&format!("keygen {name}")),
            Some((_, curve)) => self.openssl(&format!(
                "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out {name}"
            )),
            None => self.openssl(&format!("genpkey -algorithm {kind} -out {name}")),
        }
        self.folder.inside(name)
    }

    /// Issues another certificate for SPC 1234 and this key, valid from now for so many days; with
    /// -1 it has expired (OpenSSL takes no smaller one).
    pub fn issue(&self, name: &str, key: &str, days: i64) -> String {
        self.folder.write(
            "leaf.cnf",
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n1.3.6.1.5.5.7.1.26=DER:3008a006160431323334\n",
        );
        self.sign(name, key, "/C=US/O=Lab/CN=SHAKEN 1234", "intermediate", days, "leaf.cnf");
        let chain = self.read(name) + &self.read("intermediate.pem");
        self.folder.write(name, chain)
    }

    /// Issues a web server's certificate (`web.pem`, `web-key.pem`), which clients that trust in
    /// `ca.pem` take.
    pub fn web_server(&self, host: &str) {
        self.key("web-key.pem", "EC:P-256");
        self.folder
            .write("web.cnf", format!("subjectAltName=IP:{host}\nbasicConstraints=CA:FALSE\n"));
        self.sign("web.pem", "web-key.pem", "/CN=web", "root", 30, "web.cnf");
    }

    /// Issues a certificate with the extensions in a file.
    pub fn sign(
        &self,
        name: &str,
        key: &str,
        subject: &str,
        ca: &str,
        days: i64,
        extensions: &str,
    ) {
        self.run("openssl", &["req", "-new", "-key", key, "-subj", subject, "-out", "new.csr"]);
        self.openssl(&format!(
            "x509 -req -in new.csr -CA {ca}.pem -CAkey {ca}-key.pem -CAcreateserial -days {days} -extfile {extensions} -out {name}"
        ));
    }

    /// Makes the CA's revocation list with the certificates of these codes on it.
    pub fn crl(&self, name: &str, revoked: &[&str]) -> String {
        let codes: String = revoked.iter().map(|code| format!(" --revoke {code}")).collect();
        self.secsipidx(&format!("ca . --update --days 7{codes}"));
        self.replace(name, "crl.pem");
        self.folder.inside(name)
    }

    /// Replaces a file by another at once, as a careful operator does.
    pub fn replace(&self, name: &str, by: &str) {
        self.folder.write("replace.new", std::fs::read(self.folder.join(by)).unwrap());
        std::fs::rename(self.folder.join("replace.new"), self.folder.join(name)).unwrap();
    }

    /// The public key of a private key.
    pub fn public(&self, key: &str, name: &str) -> String {
        self.openssl(&format!("pkey -in {key} -pubout -out {name}"));
        self.folder.inside(name)
    }

    /// The path of a file as Kamailio sees it.
    pub fn path(&self, name: &str) -> String {
        self.folder.inside(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// Runs our tool in the folder; arguments have no spaces in them.
    pub fn secsipidx(&self, args: &str) {
        let tool = built("secsipidx");
        self.run(tool.to_str().unwrap(), &args.split(' ').collect::<Vec<_>>());
    }

    /// Runs OpenSSL in the folder, in the same way.
    pub fn openssl(&self, args: &str) {
        self.run("openssl", &args.split(' ').collect::<Vec<_>>());
    }

    fn run(&self, tool: &str, args: &[&str]) {
        let output = Command::new(tool).args(args).current_dir(self.folder.path()).output();
        let output = output.unwrap_or_else(|e| panic!("{tool} can't run ({e}): run make build"));
        assert!(
            output.status.success(),
            "{tool} {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
