//! The flags of `--consul`: this optimizer as an instance of a service.
//!
//! In: flags, and where it listens. Out: a [`Registration`], or a sentence about what to write instead.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use clap::Args;
use weir_consul::{
    Address, Advertised, Check, Client, Identity, Options, Place, PlaceError, Registration, Secret, Service, Tls,
};

/// The ACL token is taken from here when no file is named, as Consul's own tools do.
pub(crate) const TOKEN_VARIABLE: &str = "CONSUL_HTTP_TOKEN";

#[derive(Args)]
pub(crate) struct Flags {
    /// Consul agent to register with once this optimizer serves, as `http://127.0.0.1:8500`
    #[arg(long = "consul", value_name = "URL", requires = "service")]
    agent: Option<Address>,
    /// Name of the service to be an instance of
    #[arg(long, value_name = "NAME", requires = "agent")]
    service: Option<Box<str>>,
    /// Tag of the instance; may be given several times
    #[arg(long = "tag", value_name = "T", requires = "agent")]
    tags: Vec<Box<str>>,
    /// Address under which others reach this optimizer, as `10.0.0.5` or `10.0.0.5:3001` [default: that of --listen]
    #[arg(long, value_name = "ADDR", requires = "agent")]
    advertise: Option<Advertised>,
    /// Share of the traffic [default: the workers]
    #[arg(long, value_name = "N", requires = "agent")]
    weight: Option<NonZeroU16>,
    /// File with the ACL token [default: the variable `CONSUL_HTTP_TOKEN`]
    #[arg(long, value_name = "F", requires = "agent")]
    consul_token_file: Option<PathBuf>,
    /// File with the CA of an https agent, PEM [default: those of this system]
    #[arg(long, value_name = "F", requires = "agent")]
    consul_ca: Option<PathBuf>,
    /// File with the client certificate for an https agent, PEM
    #[arg(long, value_name = "F", requires = "consul_key")]
    consul_cert: Option<PathBuf>,
    /// File with its key, PEM
    #[arg(long, value_name = "F", requires = "consul_cert")]
    consul_key: Option<PathBuf>,
    /// Namespace, a feature of Consul Enterprise
    #[arg(long, value_name = "NS", requires = "agent")]
    consul_namespace: Option<Box<str>>,
}

impl Flags {
    /// What the flags ask for; `None` without `--consul`. `id` is that of the command line, `token` the variable's.
    ///
    /// # Errors
    /// A sentence, when a file cannot be used or nobody could reach the address.
    pub(crate) fn registration(
        self,
        id: Option<&str>,
        token: Option<&str>,
        listen: SocketAddr,
        workers: usize,
    ) -> Result<Option<Registration>, String> {
        let (Some(agent), Some(name)) = (self.agent, self.service) else { return Ok(None) };
        let mut options = Options::new(agent);
        options.token = match (self.consul_token_file, token.filter(|token| !token.trim().is_empty())) {
            (Some(file), _) => Some(Secret::from_file(file).map_err(|error| told(&error))?),
            (None, Some(token)) => Some(Secret::new(token).map_err(|error| format!("{TOKEN_VARIABLE}: {error}"))?),
            (None, None) => None,
        };
        options.namespace = self.consul_namespace;
        options.tls = Tls {
            authorities: self.consul_ca.as_deref().map(read).transpose()?,
            identity: match (self.consul_cert.as_deref(), self.consul_key.as_deref()) {
                (Some(cert), Some(key)) => Some(Identity { certificates: read(cert)?, key: read(key)? }),
                _ => None,
            },
        };
        let workers = u16::try_from(workers).unwrap_or(u16::MAX);
        let place = Place::of(&options.address, self.advertise, listen).map_err(|error| match error {
            PlaceError::Elsewhere { .. } => {
                format!("{error}: write `--advertise ADDRESS`, under which this optimizer is reached")
            }
            PlaceError::NoPort => error.to_string(),
        })?;
        let client = Client::new(options).map_err(|error| told(&error))?;
        let service = Service {
            id: id.map_or_else(|| place.id(&name), Into::into),
            name,
            address: place.address,
            port: place.port,
            tags: self.tags,
            meta: [("capacity".into(), workers.to_string().into())].into(),
            weight: self.weight.or(NonZeroU16::new(workers)).unwrap_or(NonZeroU16::MIN),
            check: Check::Http(format!("http://{}/healthz", place.checked).into()),
        };
        Ok(Some(Registration::new(client, service)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn told(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
