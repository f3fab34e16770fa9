//! https: by a certificate that was given, or by one made here, which browsers warn of once.
//!
//! Browsers offer WebGPU to secure contexts alone: over https, or from the machine itself.

use anyhow::{Context, Result, anyhow};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Days that a certificate made here is good for: browsers take no more than 398.
const GOOD: u32 = 390;
/// Days after which it is made anew.
const OLD: u32 = 300;

/// What a connection is secured with.
#[derive(Clone)]
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// Where a request over http is sent.
    pub url: String,
    /// SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
}

impl Tls {
    /// `chain` and `key` are PEM.
    fn new(chain: &[u8], key: &[u8], url: &str) -> Result<Tls> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>()?;
        let first = chain.first().ok_or_else(|| anyhow!("there is no certificate in it"))?;
        let fingerprint = Sha256::digest(first).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        let key = PrivateKeyDer::from_pem_slice(key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), url: url.to_owned(), fingerprint })
    }

    /// From files in PEM.
    pub fn read(certificate: &Path, key: &Path, url: &str) -> Result<Tls> {
        let bytes = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}. Give a file in PEM.", path.display()));
        Tls::new(&bytes(certificate)?, &bytes(key)?, url).with_context(|| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("{certificate} and {key} are no certificate with its key. Give both in PEM, as mkcert or tailscale write them.")
        })
    }

    /// For `address`, as it was made before and lies in `folder`, or made anew: who has accepted it is not asked again.
    pub fn own(address: IpAddr, folder: Option<&Path>, url: &str) -> Result<Tls> {
        let kept = folder.map(|folder| folder.join(format!("{address}.pem").replace(':', "-")));
        let good = kept.as_deref().filter(|file| young(file)).and_then(|file| std::fs::read(file).ok());
        if let Some(tls) = good.and_then(|pem| Tls::new(&pem, &pem, url).ok()) {
            return Ok(tls);
        }
        let pem = make(address).context("no certificate can be made. Give one with --certificate and --key.")?;
        // Without a place for it the next start makes another one.
        let _ = kept.map(|file| keep(&file, &pem));
        Tls::new(pem.as_bytes(), pem.as_bytes(), url)
    }
}

fn young(file: &Path) -> bool {
    let age = file.metadata().and_then(|about| about.modified()).ok().and_then(|made| SystemTime::now().duration_since(made).ok());
    age.is_some_and(|age| age < OLD * DAY)
}

/// Key and certificate for an address and this machine's own names, in PEM.
fn make(address: IpAddr) -> Result<String> {
    let mut about = rcgen::CertificateParams::new(vec![address.to_string(), "localhost".to_owned(), "127.0.0.1".to_owned()])?;
    about.distinguished_name.push(rcgen::DnType::CommonName, "rullama on this network");
    let now = SystemTime::now();
    // Clocks of phones differ.
    about.not_before = (now - DAY).into();
    about.not_after = (now + GOOD * DAY).into();
    let key = rcgen::KeyPair::generate()?;
    let certificate = about.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// Writes a file that its owner alone may read.
fn keep(file: &PathBuf, pem: &str) -> std::io::Result<()> {
    use std::io::Write;
    std::fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    let _ = std::fs::remove_file(file);
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(pem.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_for_its_owner_and_made_anew_when_broken() {
        let folder = tempfile::tempdir().unwrap();
        let own = || Tls::own("192.0.2.7".parse().unwrap(), Some(folder.path()), "https://x/").unwrap().fingerprint;
        let first = own();
        assert_eq!(first.len(), 32 * 3 - 1);
        assert_eq!(own(), first);
        let file = folder.path().join("192.0.2.7.pem");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777, 0o600);
        let pem = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, &pem[..pem.len() / 2]).unwrap();
        let second = own();
        assert_ne!(second, first);
        // One that is nearly out of date is not used, either.
        std::fs::File::options().append(true).open(&file).unwrap().set_modified(SystemTime::now() - (OLD + 1) * DAY).unwrap();
        assert_ne!(own(), second);
        // Without a place for it there is one all the same.
        assert_ne!(Tls::own("192.0.2.7".parse().unwrap(), None, "https://x/").unwrap().fingerprint, first);
    }

    #[test]
    fn files_that_are_none_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let read = || format!("{:#}", Tls::read(&certificate, &key, "https://x/").err().unwrap());
        assert!(read().contains("c.pem"), "{}", read());
        let (one, other) = (make([192, 0, 2, 7].into()).unwrap(), make([192, 0, 2, 7].into()).unwrap());
        for (chain, private) in [("no PEM", &one[..]), (&one, "no PEM"), (&one, &other)] {
            std::fs::write(&certificate, chain).unwrap();
            std::fs::write(&key, private).unwrap();
            assert!(read().contains("c.pem") && read().contains("PEM"), "{}", read());
        }
        std::fs::write(&key, &one).unwrap();
        assert!(Tls::read(&certificate, &key, "https://x/").is_ok());
    }
}
