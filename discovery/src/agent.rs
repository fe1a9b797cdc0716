//! A Consul agent, as it is configured.
//!
//! In: what is configured, and the files and variables that names. Out: a [`Client`]. Cost: reads the files at each call.

use std::io;
use std::path::{Path, PathBuf};

use weir_config::{Agent, TokenFrom};
use weir_consul::{Address, AddressError, Client, Identity, Options, Secret, SecretError, Tls, TlsError};

use crate::Variables;

/// Where Consul's own tools take the token from.
const USUAL_VARIABLE: &str = "CONSUL_HTTP_TOKEN";

/// Why a source cannot be set up as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ConsulSetupError {
    /// The URL.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The token.
    #[error(transparent)]
    Token(#[from] SecretError),
    /// The variable that should hold the token does not exist.
    #[error("the environment variable `{name}` is not set: set it to the token, or leave `token_env` out")]
    NoVariable {
        /// Its name.
        name: Box<str>,
    },
    /// A file of PEM cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The PEM cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What is read from files and variables. Not printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Material {
    token: Option<Secret>,
    authorities: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Material {
    /// Blocks on files.
    ///
    /// # Errors
    /// [`ConsulSetupError`].
    pub(crate) fn read(agent: &Agent, variables: Variables) -> Result<Self, ConsulSetupError> {
        let token = match &agent.token {
            TokenFrom::File(path) => Some(Secret::from_file(path)?),
            TokenFrom::Variable(name) => {
                let value = variables(name).ok_or_else(|| ConsulSetupError::NoVariable { name: name.clone() })?;
                Some(Secret::new(&value)?)
            }
            TokenFrom::Usual => match variables(USUAL_VARIABLE).filter(|value| !value.trim().is_empty()) {
                Some(value) => Some(Secret::new(&value)?),
                None => None,
            },
        };
        let authorities = agent.ca_file.as_deref().map(read).transpose()?;
        let identity = match &agent.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        Ok(Self { token, authorities, identity })
    }

    /// A client of this agent.
    ///
    /// # Errors
    /// [`ConsulSetupError`].
    pub(crate) fn client(&self, agent: &Agent, datacenter: Option<Box<str>>) -> Result<Client, ConsulSetupError> {
        let address: Address = agent.address.parse()?;
        let identity = self.identity.clone().map(|(certificates, key)| Identity { certificates, key });
        Ok(Client::new(Options {
            token: self.token.clone(),
            datacenter,
            namespace: agent.namespace.clone(),
            tls: Tls { authorities: self.authorities.clone(), identity },
            ..Options::new(address)
        })?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConsulSetupError> {
    std::fs::read(path).map_err(|source| ConsulSetupError::Unreadable { path: path.to_owned(), source })
}
