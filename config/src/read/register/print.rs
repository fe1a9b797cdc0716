//! Writes `[register]`.

use super::{ADVERTISE, ID, REGISTER, SERVICE, TAGS};
use crate::Register;
use crate::raw::Page;
use crate::read::source::print_agent;

pub(in crate::read) fn print(register: &Register, page: &mut Page) {
    let Register { agent, service, id, tags, advertise } = register;
    page.table(REGISTER.header);
    page.key(&SERVICE, service);
    page.key(&ID, id);
    page.key(&TAGS, tags);
    page.key(&ADVERTISE, advertise);
    print_agent(agent, page);
}
