//! Directives where nginx takes none of their kind.
//!
//! nginx refuses a file that has one. weir takes the rest over, and says that these are not in it.

use crate::note::Notes;
use crate::tree::Directive;

const NAMED: &str = "@";

/// Notes each directive that does not belong into a block with this name, those in the blocks below included.
pub(crate) fn check(inside: &[Directive], block: &str, notes: &mut Notes) {
    for directive in inside {
        let name = directive.name.as_str();
        let blocks: &[&str] = match name {
            "http" => &["main"],
            // A part of a file has these beside its servers.
            "events" | "worker_processes" => &["main", "http"],
            "upstream" | "map" | "geo" => &["http"],
            "server" => &["http", "upstream"],
            "location" => &["server", "location"],
            "listen" | "server_name" => &["server"],
            "proxy_pass" => &["location", "if", "limit_except"],
            "return" | "rewrite" | "set" | "break" | "if" => &["server", "location", "if"],
            "try_files" if block == "server" => {
                notes.lost(directive, "weir serves no files: requests go where a `location` leads");
                continue;
            }
            "internal" | "limit_except" | "alias" | "try_files" => &["location"],
            _ => continue,
        };
        // A location with a name holds all that others do, but for locations.
        let fits = blocks.contains(&block) || block == NAMED && name != "location" && blocks.contains(&"location");
        if !fits {
            notes.lost(directive, "nginx takes no such directive here, so nothing of it is taken over");
        } else if !matches!(name, "upstream" | "map" | "geo") {
            let is_named = name == "location" && directive.word(0).starts_with(NAMED);
            check(directive.inside(), if is_named { NAMED } else { name }, notes);
        }
    }
}
