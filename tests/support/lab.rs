//! A certification authority with a signer's certificate, and keys of all kinds: made by OpenSSL.

use super::Folder;
use std::process::Command;

/// Files in a folder: `ca.pem`, `cert.pem` (SPC 1234, with `key.pem`), and what is asked for.
pub struct Lab {
    pub folder: Folder,
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self { folder: Folder::new() };
        lab.key("ca-key.pem", "EC:P-256");
        lab.openssl("req -x509 -new -key ca-key.pem -out ca.pem -days 30 -subj /C=US/O=Test/CN=Root -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign");
        lab.key("key.pem", "EC:P-256");
        lab.issue("cert.pem", "key.pem", 30);
        lab
    }

    /// Makes a private key: `EC:P-256`, `EC:P-384`, `RSA`, `ED25519`.
    pub fn key(&self, name: &str, kind: &str) -> String {
        let kind = match kind.split_once(':') {
            Some((_, curve)) => format!("EC -pkeyopt ec_paramgen_curve:{curve}"),
            None => kind.to_owned(),
        };
        self.openssl(&format!("genpkey -algorithm {kind} -out {name}"));
        self.folder.inside(name)
    }

    /// Issues a certificate with the CA: `/C=US/O=Test/CN=SHAKEN 1234` and its TNAuthList, valid
    /// from now for so many days; with -1 it has expired (OpenSSL takes no smaller one).
    pub fn issue(&self, name: &str, key: &str, days: i64) -> String {
        self.folder.write(
            "leaf.cnf",
            "[leaf]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n1.3.6.1.5.5.7.1.26=DER:3008a006160431323334\n",
        );
        self.run(&[
            "req",
            "-new",
            "-key",
            key,
            "-subj",
            "/C=US/O=Test/CN=SHAKEN 1234",
            "-out",
            "leaf.csr",
        ]);
        self.openssl(&format!(
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days {days} -extfile leaf.cnf -extensions leaf -out {name}"
        ));
        self.folder.inside(name)
    }

    /// Makes the CA's revocation list with these certificates on it, valid for a week.
    pub fn crl(&self, name: &str, revoked: &[&str]) -> String {
        self.folder.write(
            "ca.cnf",
            "[ca]\ndefault_ca=lab\n[lab]\ndatabase=index.txt\ndefault_md=sha256\ncertificate=ca.pem\nprivate_key=ca-key.pem\n",
        );
        self.folder.write("index.txt", "");
        for certificate in revoked {
            self.openssl(&format!("ca -config ca.cnf -revoke {certificate}"));
        }
        self.openssl(&format!("ca -config ca.cnf -gencrl -crldays 7 -out {name}"));
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

    /// Runs OpenSSL in the folder; arguments have no spaces in them.
    pub fn openssl(&self, args: &str) {
        self.run(&args.split(' ').collect::<Vec<_>>());
    }

    fn run(&self, args: &[&str]) {
        let output =
            Command::new("openssl").args(args).current_dir(self.folder.path()).output().unwrap();
        assert!(
            output.status.success(),
            "openssl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
