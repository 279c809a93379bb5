//! The port of a served bucket.
//!
//! A kernel's mount remembers its port, so a restart must find it free: ports are chosen outside the range
//! from which the system hands out ports to outgoing connections (design.md promise 14).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use tokio::net::{TcpListener, TcpSocket};

use crate::error::{EngineError, Result};

/// Fewer than this many ports are not worth choosing from.
const ENOUGH: u16 = 1000;
const TRIES: u32 = 64;
const BACKLOG: u32 = 128;

/// Which port to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortChoice {
    /// This one or none: asked for, or a mount waits on it.
    Only(u16),
    /// This one if it is free, else any.
    Rather(u16),
    Any,
}

/// Why a port was not had.
pub(crate) enum NotHad {
    /// Another may do.
    Port(io::Error),
    /// No other would be had either.
    Any(EngineError),
}

/// A listener on 127.0.0.1, SO_REUSEADDR set, on the port of `choice`.
///
/// # Errors
/// A sentence that names the port when it is taken.
pub(crate) fn listen(choice: PortChoice) -> Result<TcpListener> {
    choose(choice, |port| bind(port).map_err(NotHad::Port))
}

/// What `have` gives for the port of `choice`.
///
/// # Errors
/// A sentence that names the port when it is taken, or the one that ended the search.
pub(crate) fn choose<T>(
    choice: PortChoice,
    mut have: impl FnMut(u16) -> std::result::Result<T, NotHad>,
) -> Result<T> {
    match choice {
        PortChoice::Only(port) => have(port).map_err(|error| match error {
            NotHad::Port(error) => refused(port, &error),
            NotHad::Any(error) => error,
        }),
        PortChoice::Rather(port) => match have(port) {
            Ok(listener) => Ok(listener),
            Err(NotHad::Any(error)) => Err(error),
            Err(NotHad::Port(error)) => {
                tracing::warn!(port, %error, "the port of last time is not free, taking another");
                anywhere(have)
            }
        },
        PortChoice::Any => anywhere(have),
    }
}

fn anywhere<T>(mut have: impl FnMut(u16) -> std::result::Result<T, NotHad>) -> Result<T> {
    let window = window(ephemeral_range());
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let mut random = [0u8; 4];
        getrandom::fill(&mut random).map_err(|error| {
            EngineError::new(format!("The system gave no random bytes ({error})."), "Try again.")
        })?;
        let width = u32::from(window.end() - window.start()) + 1;
        let offset = u16::try_from(u32::from_ne_bytes(random) % width).unwrap_or(0);
        match have(window.start() + offset) {
            Ok(listener) => return Ok(listener),
            Err(NotHad::Port(error)) => last = error,
            Err(NotHad::Any(error)) => return Err(error),
        }
    }
    Err(EngineError::new(
        format!("No free port was found between {} and {} ({last}).", window.start(), window.end()),
        "Choose one with --port.",
    ))
}

/// The ports to choose from on this machine, and whether one of a few tried was free. Nothing stays taken.
pub(crate) fn look() -> (RangeInclusive<u16>, bool) {
    let window = window(ephemeral_range());
    let tried = window.clone().step_by((window.len() / 16).max(1));
    let free = tried.into_iter().any(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    (window, free)
}

fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Connections of our last life may still be in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

fn refused(port: u16, error: &io::Error) -> EngineError {
    match error.kind() {
        io::ErrorKind::AddrInUse => EngineError::new(
            format!("Port {port} of this machine is in use by another program."),
            format!(
                "End that program (`lsof -i :{port}` names it), or choose another port with --port and \
                 mount anew."
            ),
        ),
        io::ErrorKind::PermissionDenied => EngineError::new(
            format!("You may not listen on port {port}."),
            "Choose a port above 1023 with --port.",
        ),
        _ => EngineError::new(
            format!("Listening on port {port} failed ({error})."),
            "Choose another port with --port.",
        ),
    }
}

/// Where the system takes ports for outgoing connections.
#[cfg(not(target_os = "macos"))]
fn ephemeral_range() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&text).unwrap_or(32768..=60999)
}

/// macOS: `net.inet.ip.portrange.first` and `.last`; nobody changes them.
#[cfg(target_os = "macos")]
fn ephemeral_range() -> RangeInclusive<u16> {
    49152..=65535
}

#[cfg(any(not(target_os = "macos"), test))]
fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (low, high) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (low <= high).then_some(low..=high)
}

/// The ports to choose from: between 20000 and 32767 below the ephemeral ones, else above them, else lower.
fn window(ephemeral: RangeInclusive<u16>) -> RangeInclusive<u16> {
    let (low, high) = (*ephemeral.start(), *ephemeral.end());
    let candidates = [
        (20_000, low.saturating_sub(1).min(32_767)),
        (high.saturating_add(1).max(20_000), 65_535),
        (1_024, low.saturating_sub(1)),
    ];
    let roomy = candidates.into_iter().find(|(first, last)| *last >= *first && last - first >= ENOUGH);
    // All of it is ephemeral: a port may then be taken while we are away; nothing better is left.
    let (first, last) = roomy.unwrap_or((20_000, 32_767));
    first..=last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_avoids_the_ephemeral_ports() {
        assert_eq!(window(32_768..=60_999), 20_000..=32_767);
        assert_eq!(window(49_152..=65_535), 20_000..=32_767);
        assert_eq!(window(1_024..=60_999), 61_000..=65_535);
        assert_eq!(window(15_000..=65_535), 1_024..=14_999);
        assert_eq!(window(1_024..=65_535), 20_000..=32_767);
        assert_eq!(window(0..=65_535), 20_000..=32_767);
    }

    #[test]
    fn the_systems_file() {
        assert_eq!(parse_range("32768\t60999\n"), Some(32_768..=60_999));
        for bad in ["", "5", "a b", "9 5", "1 70000"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn loopback_only_and_a_taken_port_is_said() {
        let first = listen(PortChoice::Any).unwrap();
        let address = first.local_addr().unwrap();
        assert!(address.ip().is_loopback());
        assert!(!ephemeral_range().contains(&address.port()));
        let error = listen(PortChoice::Only(address.port())).unwrap_err();
        assert!(error.what.contains(&address.port().to_string()), "{error}");
        let other = listen(PortChoice::Rather(address.port())).unwrap();
        assert_ne!(other.local_addr().unwrap().port(), address.port());
        drop(first);
        let again = listen(PortChoice::Only(address.port())).unwrap();
        assert_eq!(again.local_addr().unwrap(), address);
    }
}
