//! TLS to an agent: whom to trust and who we are.
//!
//! In: PEM. Out: a configuration of rustls on ring, made once per client.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// What an `https` address needs beyond the address. The default trusts what this system trusts.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// PEM of the authorities to trust, and no others. `None`: those of the system.
    pub authorities: Option<Vec<u8>>,
    /// The client certificate, for agents that want one (`verify_incoming`).
    pub identity: Option<Identity>,
}

/// A client certificate and its key.
#[derive(Clone)]
pub struct Identity {
    /// PEM of the certificate, those of its intermediates after it.
    pub certificates: Vec<u8>,
    /// PEM of the private key: PKCS#8, SEC1 or PKCS#1. Never printed.
    pub key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(hidden)")
    }
}

/// Why the TLS material cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is TLS material, but the address says `http`.
    #[error("a CA or a client certificate is given, but the address is `http://…`: write `https://…`")]
    NotHttps,
    /// The PEM has no certificate that can be an authority.
    #[error("the CA file holds no usable certificate: it must be PEM, `-----BEGIN CERTIFICATE-----`")]
    NoAuthority,
    /// The system trusts nobody.
    #[error("this system has no certificate authorities: give the CA file of the Consul agent")]
    NoSystemAuthorities,
    /// No certificate in the PEM of the client.
    #[error("the client certificate file holds no certificate: it must be PEM, `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// No key in the PEM of the client.
    #[error("the client key file holds no private key: it must be PEM, `-----BEGIN PRIVATE KEY-----` or alike")]
    NoKey,
    /// Certificate and key are not of one pair, or of a kind that is not supported.
    #[error("the client certificate cannot be used with that key")]
    Unfit(#[source] rustls::Error),
}

impl Tls {
    pub(crate) fn is_empty(&self) -> bool {
        self.authorities.is_none() && self.identity.is_none()
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        // Named, not the process's default: whatever else is in the tree, this neither panics nor changes.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unfit)?
            .with_root_certificates(self.roots()?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificates = certificates(&identity.certificates);
                if certificates.is_empty() {
                    return Err(TlsError::NoCertificate);
                }
                let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|_| TlsError::NoKey)?;
                builder.with_client_auth_cert(certificates, key).map_err(TlsError::Unfit)?
            }
        };
        // An agent also speaks HTTP/2, which one request at a time has no use for.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.authorities {
            // One authority that cannot be read must not go unnoticed among others.
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| TlsError::NoAuthority)?;
                roots.add(certificate).map_err(|_| TlsError::NoAuthority)?;
            }
            return if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) };
        }
        // Systems carry some that are too old to parse; what can be trusted is enough.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() { Err(TlsError::NoSystemAuthorities) } else { Ok(roots) }
    }
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_something_else_are_refused_by_name() {
        let ca = Tls { authorities: Some(b"not PEM".to_vec()), identity: None };
        assert!(matches!(ca.config(), Err(TlsError::NoAuthority)));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let ca = Tls { authorities: Some(broken.to_vec()), identity: None };
        assert!(matches!(ca.config(), Err(TlsError::NoAuthority)));
    }

    #[test]
    fn a_key_is_never_printed() {
        let identity = Identity { certificates: b"cert".to_vec(), key: b"hunter2".to_vec() };
        assert_eq!(format!("{:?}", Tls { authorities: None, identity: Some(identity) }).matches("hidden").count(), 1);
    }
}
