//! Signs a call, checks it, and shows what a SIP server answers to a forged one:
//! `cargo run -p stir --example call`.

use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use std::error::Error;
use stir::{Call, CheckOptions, Config, PrivateKey, PublicKey, Signer, Verifier};

fn main() -> Result<(), Box<dyn Error>> {
    // A carrier has its key in a file, and its certificate at the URL.
    let key = SecretKey::generate();
    let private = key.to_pkcs8_pem(LineEnding::LF)?;
    let public = key.public_key().to_public_key_pem(LineEnding::LF)?;

    let signer = Signer::new(&Config::default().build()?);
    let call = Call {
        orig: "+12155550100",
        dest: "+12025550199",
        attest: "A",
        x5u: "https://certificates.example.com/spc-1234.pem",
        ..Call::default()
    };
    let identity = signer.identity(&call, PrivateKey::Pem(&private))?;
    println!("Identity: {identity}\n");

    let verifier = Verifier::new(&Config::default().build()?);
    let another = SecretKey::generate().public_key().to_public_key_pem(LineEnding::LF)?;
    for (whose, key) in [("its signer's key", &public), ("another's key", &another)] {
        let report = verifier.check([&*identity], PublicKey::Pem(key), CheckOptions::default());
        print!("with {whose}: {}", report.verstat().value());
        match (&report.result, report.response()) {
            (Err(error), Some(response)) => {
                println!(": {} {} ({})", response.code(), response.phrase(), error.message())
            }
            _ => println!(),
        }
    }
    Ok(())
}
