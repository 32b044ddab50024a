//! Keys in a device, which is SoftHSM here: what they sign, what happens while the device is away, and that it comes back.
//!
//! A PKCS #11 module is configured by the environment and once for a process, so each test runs itself again in a process of
//! its own. Where SoftHSM is not installed they say so and test nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use controlplane::keys::{
    Algorithm, Binding, Device, DeviceError, DeviceSettings, HeldKey, KeyNumber, OpenError, Role, Seal, SigningKey,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use serde_json::json;

use crate::harness::{Answer, Bench, Full, Who};

/// Where distributions have the module.
const MODULES: [&str; 3] =
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"];
/// What tells a process that it is the one with the device, and where that is.
const WITHIN: &str = "PETREL_TEST_DEVICE";
/// The label of the device.
const LABEL: &str = "petrel test";
/// Its PIN.
const PIN: &str = "271828";
/// How long something may take that is tried every few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A device in a directory.
struct Soft {
    /// The directory.
    dir: PathBuf,
}

impl Soft {
    /// How it is reached.
    fn settings(&self) -> DeviceSettings {
        let module = MODULES.iter().map(PathBuf::from).find(|path| path.exists()).unwrap();
        DeviceSettings { module, label: LABEL.to_owned(), pin_file: self.dir.join("pin"), keep_days: 30 }
    }

    /// It, in use.
    fn start(&self) -> Arc<Device> {
        Arc::new(Device::start(self.settings()).unwrap())
    }

    /// How many objects it has, by their files.
    fn object_count(&self) -> usize {
        let slots = fs::read_dir(self.dir.join("tokens")).unwrap();
        let files = slots.flat_map(|slot| fs::read_dir(slot.unwrap().path()).unwrap());
        let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".object") && name != "token.object").count()
    }

    /// Takes it away.
    fn take_away(&self) {
        fs::rename(self.dir.join("tokens"), self.dir.join("gone")).unwrap();
        fs::create_dir(self.dir.join("tokens")).unwrap();
    }

    /// Puts it back.
    fn put_back(&self) {
        fs::remove_dir(self.dir.join("tokens")).unwrap();
        fs::rename(self.dir.join("gone"), self.dir.join("tokens")).unwrap();
    }
}

/// Runs a test in a process of its own, with a new device.
fn with_device(name: &str, test: impl FnOnce(&Soft)) {
    if let Some(dir) = env::var_os(WITHIN) {
        return test(&Soft { dir: dir.into() });
    }
    if !MODULES.iter().any(|path| Path::new(path).exists()) {
        eprintln!("SoftHSM is not installed: keys in devices are not tested");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (conf, tokens) = (dir.path().join("softhsm2.conf"), dir.path().join("tokens"));
    fs::create_dir(&tokens).unwrap();
    fs::write(&conf, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display())).unwrap();
    fs::write(dir.path().join("pin"), format!("{PIN}\n")).unwrap();
    let run = |program: &OsStr, args: &[&str]| {
        let mut command = Command::new(program);
        let output = command.args(args).env("SOFTHSM2_CONF", &conf).env(WITHIN, dir.path()).output().unwrap();
        let texts = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        println!("{}", texts.join("\n"));
        assert!(output.status.success(), "{name}");
    };
    let util = ["--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "314159"];
    run(OsStr::new("softhsm2-util"), &util);
    run(env::current_exe().unwrap().as_os_str(), &["--exact", &format!("device::{name}"), "--nocapture"]);
}

/// Asks again and again until the answer is good.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Whether the signature of a key over a message is right.
fn signs(key: &HeldKey, message: &[u8]) -> bool {
    let point = [&[4][..], key.public()].concat();
    let signature = key.sign(message).unwrap();
    let verifier: &dyn ring::signature::VerificationAlgorithm =
        if key.algorithm() == Algorithm::EcdsaP384Sha384 { &ECDSA_P384_SHA384_FIXED } else { &ECDSA_P256_SHA256_FIXED };
    UnparsedPublicKey::new(verifier, point).verify(message, &signature).is_ok()
}

#[test]
fn keys_of_a_device_sign_and_are_found_again_by_their_number() {
    with_device("keys_of_a_device_sign_and_are_found_again_by_their_number", |soft| {
        let device = soft.start();
        for algorithm in [Algorithm::EcdsaP256Sha256, Algorithm::EcdsaP384Sha384] {
            let key = device.generate(KeyNumber::fresh(), algorithm, "example.net.").unwrap();
            assert!(signs(&key, b"once upon a time") && signs(&key, &[7; 70_000]), "{algorithm}");
            let again = device.key(key.number(), algorithm).unwrap();
            assert_eq!(again.public(), key.public());
            assert!(signs(&again, b"and once more"));
        }
        for algorithm in [Algorithm::Ed25519, Algorithm::RsaSha256] {
            assert_eq!(
                device.generate(KeyNumber::fresh(), algorithm, "x").unwrap_err(),
                DeviceError::Algorithm(algorithm)
            );
        }
        let unknown = KeyNumber([7; 16]);
        let missing = device.key(unknown, Algorithm::EcdsaP256Sha256).unwrap_err();
        assert_eq!(missing, DeviceError::NoKey(unknown));
        let key = device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "spare").unwrap();
        device.destroy(key.number()).unwrap();
        assert!(device.key(key.number(), Algorithm::EcdsaP256Sha256).is_err());
        assert_eq!(device.trouble(), None);
    });
}

#[test]
fn a_number_opens_for_its_own_binding_only() {
    with_device("a_number_opens_for_its_own_binding_only", |soft| {
        let device = soft.start();
        let seal = Seal::create(&soft.dir.join("seal.key")).unwrap();
        let held = device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "example.net.").unwrap();
        let (tag, kept) = (held.dnskey(Role::Csk).tag(), held.number().kept());
        let right = Binding { apex: "example.net.".parse().unwrap(), tag, algorithm: Algorithm::EcdsaP256Sha256 };
        let opened = SigningKey::open(&kept, &right, &seal, Some(&device)).unwrap();
        assert_eq!(opened.dnskey(Role::Csk), held.dnskey(Role::Csk));
        let wrong = Binding { tag: right.tag ^ 0x4000, ..right.clone() };
        let error = SigningKey::open(&kept, &wrong, &seal, Some(&device)).unwrap_err();
        assert_eq!(error, OpenError::Unfit(wrong));
        let error = SigningKey::open(&kept, &right, &seal, None).unwrap_err();
        assert_eq!(error, OpenError::NoDevice(right.clone()));
        assert!(matches!(seal.open(&kept, &right), Err(OpenError::Held(_))));
    });
}

#[test]
fn many_threads_sign_at_once() {
    with_device("many_threads_sign_at_once", |soft| {
        let device = soft.start();
        let key = device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "example.net.").unwrap();
        for threads in [1, 2, 4, 8] {
            let begun = Instant::now();
            thread::scope(|scope| {
                for thread in 0..threads {
                    let key = &key;
                    let sign = move || (0..100_u32).all(|n| signs(key, &[n.to_be_bytes(), [thread; 4]].concat()));
                    scope.spawn(move || assert!(sign()));
                }
            });
            let rate = f64::from(threads) * 100.0 / begun.elapsed().as_secs_f64();
            println!("{threads} threads: {rate:.0} signatures a second, each verified");
        }
    });
}

#[test]
fn a_device_that_was_away_is_used_again() {
    with_device("a_device_that_was_away_is_used_again", |soft| {
        let device = soft.start();
        let key = device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "example.net.").unwrap();
        assert!(signs(&key, b"before"));
        for _ in 0..2 {
            soft.take_away();
            // Sessions that have the key at hand may go on with it, others do not find it.
            until("the loss is noticed and told", || {
                drop(key.sign(b"meanwhile"));
                device.trouble()
            });
            let begun = Instant::now();
            assert!(key.sign(b"at once").is_err());
            assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for what is away");
            soft.put_back();
            until("it is back", || device.trouble().is_none().then_some(()));
            assert!(signs(&key, b"after"));
        }
    });
}

#[test]
fn a_pin_that_was_refused_is_not_tried_again() {
    with_device("a_pin_that_was_refused_is_not_tried_again", |soft| {
        fs::write(soft.dir.join("pin"), "999999\n").unwrap();
        let device = soft.start();
        let trouble = until("it is refused", || device.trouble());
        assert!(trouble.contains("it refuses the PIN in") && !trouble.contains("999999"), "{trouble}");
        until("it is not tried again", || device.trouble().filter(|trouble| trouble.contains("not tried again")));
        fs::write(soft.dir.join("pin"), PIN).unwrap();
        until("the right one is", || device.trouble().is_none().then_some(()));
        assert!(signs(&device.generate(KeyNumber::fresh(), Algorithm::EcdsaP256Sha256, "x").unwrap(), b"text"));
    });
}

#[test]
fn fault_13_edits_of_signed_zones_wait_for_the_device_and_others_do_not() {
    with_device("fault_13_edits_of_signed_zones_wait_for_the_device_and_others_do_not", |soft| {
        let device = Device::start(soft.settings()).unwrap();
        let bench = Bench::with_device(tempfile::tempdir().unwrap(), device);
        let token = bench.token(&bench.account("keys@mail.example"), Full);
        let post = |path: &str, body: serde_json::Value| bench.post(token.who(), path, &body.to_string());
        let is_served = |answer: &Answer| answer.header("petrel-served").is_none();
        for name in ["signed.example", "plain.example"] {
            let made = post("/api/v1/domains/", json!({ "name": name }));
            assert!(made.status == 201 && is_served(&made), "{}", made.text);
        }
        bench.call(token.who(), "DELETE", "/api/zones/plain.example/dnssec?force=true", None);
        let edit = |name: &str, number: u8| {
            let body = json!({"subname": format!("n{number}"), "type": "A", "ttl": 3600, "records": ["192.0.2.1"]});
            post(&format!("/api/v1/domains/{name}/rrsets/?wait=4"), body)
        };
        assert!(is_served(&edit("signed.example", 1)) && is_served(&edit("plain.example", 1)));
        soft.take_away();
        // Whether a module notices before it is asked for a new key is its own affair.
        until("the loss is noticed", || {
            (!is_served(&edit("signed.example", 2))).then_some(()).or_else(|| {
                bench.call(token.who(), "DELETE", "/api/v1/domains/signed.example/rrsets/n2/A/", None);
                None
            })
        });
        let begun = Instant::now();
        assert!(is_served(&edit("plain.example", 2)), "unsigned zones go on");
        assert!(begun.elapsed() < Duration::from_secs(3));
        let status = bench.get(token.who(), "/api/zones/signed.example/dnssec").json();
        assert!(status["refused"].as_str().unwrap().contains("device"), "{status}");
        let refused = post("/api/v1/domains/", json!({ "name": "new.example" }));
        assert_eq!(refused.status, 503, "{}", refused.text);
        soft.put_back();
        until("what waited is served", || {
            let status = bench.get(token.who(), "/api/zones/signed.example/dnssec").json();
            status["refused"].is_null().then_some(())
        });
        assert!(is_served(&edit("signed.example", 3)));
    });
}

#[test]
fn keys_that_no_domain_needs_leave_the_device() {
    with_device("keys_that_no_domain_needs_leave_the_device", |soft| {
        let device = Device::start(soft.settings()).unwrap();
        let bench = Bench::with_device(tempfile::tempdir().unwrap(), device);
        let token = bench.token(&bench.account("keys@mail.example"), Full);
        let call = |method: &str, path: &str, body: Option<&str>| bench.call(token.who(), method, path, body);
        for name in ["stays.example", "goes.example"] {
            let body = json!({ "name": name }).to_string();
            let made = until("the device is there", || {
                let made = call("POST", "/api/v1/domains/", Some(&body));
                (made.status != 503).then_some(made)
            });
            assert_eq!(made.status, 201, "{}", made.text);
        }
        assert_eq!(soft.object_count(), 4, "a private and a public key for each");
        assert_eq!(call("DELETE", "/api/v1/domains/goes.example/", None).status, 204);
        let to_remove = || bench.get(Who::Operator, "/api/admin/doctor/").json()["device_keys_to_remove"].clone();
        assert_eq!(to_remove(), 1);
        bench.keep_objects(0);
        until("its key is removed", || (soft.object_count() == 2 && to_remove() == 0).then_some(()));
        let body = json!({"subname": "www", "type": "A", "ttl": 3600, "records": ["192.0.2.1"]}).to_string();
        let edited = call("POST", "/api/v1/domains/stays.example/rrsets/?wait=9", Some(&body));
        assert!(edited.status == 201 && edited.header("petrel-served").is_none(), "{}", edited.text);
        soft.take_away();
        until("the loss is told", || {
            call("DELETE", "/api/v1/domains/stays.example/rrsets/www/A/", None);
            call("POST", "/api/v1/domains/stays.example/rrsets/", Some(&body));
            let doctor = bench.get(Who::Operator, "/api/admin/doctor/").json();
            let found = doctor["findings"].to_string().contains("The device that keeps keys cannot be used since 20");
            found.then(|| assert!(doctor["device_trouble"].is_string() && doctor["ok"] == false, "{doctor}"))
        });
        soft.put_back();
    });
}
