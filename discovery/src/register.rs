//! This weir as an instance of a service in Consul.
//!
//! In: what is configured, and where it listens. Out: a [`Registration`], which its owner keeps. Cost: that of the
//! registration, one small request a second.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use weir_config::{Advertise, Register};
use weir_consul::{Advertised, Check, Place, PlaceError, Registration, Service};

use crate::Variables;
use crate::agent::{ConsulSetupError, Material};

/// Why a weir cannot be registered as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The agent.
    #[error("cannot set up `[register]`")]
    Setup(#[from] ConsulSetupError),
    /// Nobody would find it.
    #[error("cannot register: {0}: write `advertise = \"ADDRESS\"` in `[register]`, under which this weir is reached")]
    Place(#[from] PlaceError),
}

/// The registration of a weir whose first listener and admin listener have these addresses; nothing is asked yet. Blocks
/// on files.
///
/// An agent on this machine asks the admin listener whether weir is ready; one elsewhere cannot reach it, and checks that
/// a connection to the advertised address opens.
///
/// # Errors
/// [`RegisterError`].
pub fn registration(
    settings: &Register,
    listener: SocketAddr,
    admin: SocketAddr,
    variables: Variables,
) -> Result<Registration, RegisterError> {
    let client = Material::read(&settings.agent, variables)?.client(&settings.agent, None)?;
    let advertised = settings.advertise.clone().map(|Advertise { host, port }| Advertised { host, port });
    let place = Place::of(client.address(), advertised, listener)?;
    let check = if client.address().is_loopback() {
        Check::Http(format!("http://{admin}/readyz").into())
    } else {
        Check::Tcp(place.checked.clone().into())
    };
    let service = Service {
        id: settings.id.clone().unwrap_or_else(|| place.id(&settings.service)),
        name: settings.service.clone(),
        address: place.address,
        port: place.port,
        tags: settings.tags.clone(),
        meta: [].into(),
        weight: NonZeroU16::MIN,
        check,
    };
    Ok(Registration::new(client, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(lines: &str, listener: &str) -> Result<Service, String> {
        let text = format!(
            "[register]\nservice = \"weir\"\n{lines}\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"a\"\n\
             [[service]]\nname = \"a\"\npolicy = \"weighted\"\nendpoints = [\"127.0.0.1:1\"]\n"
        );
        let config = weir_config::parse("weir.toml", &text).unwrap();
        let admin = "127.0.0.1:9090".parse().unwrap();
        registration(&config.register.unwrap(), listener.parse().unwrap(), admin, |_| None)
            .map(|registration| registration.service().clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_agent_on_this_machine_asks_for_readiness_and_one_elsewhere_for_a_connection() {
        let here = service("", "10.0.0.5:8080").unwrap();
        assert_eq!((&*here.id, here.port.get()), ("weir-10.0.0.5-8080", 8080));
        assert_eq!(here.check, Check::Http("http://127.0.0.1:9090/readyz".into()));
        let away =
            service("address = \"http://10.0.0.1:8500\"\nadvertise = \"lb.example:80\"", "0.0.0.0:8080").unwrap();
        assert_eq!((away.address.as_deref(), away.port.get()), (Some("lb.example"), 80));
        assert_eq!(away.check, Check::Tcp("lb.example:80".into()));
    }

    #[test]
    fn a_weir_that_others_cannot_reach_is_not_registered_and_the_error_says_what_to_write() {
        let error = service("address = \"http://10.0.0.1:8500\"", "0.0.0.0:8080").unwrap_err();
        assert!(error.contains("nobody there reaches 0.0.0.0:8080: write `advertise = \"ADDRESS\"`"), "{error}");
    }
}
