//! Queues in which packets wait before they leave by a link, and what leads packets that came by one into another's (tc(8),
//! <linux/pkt_sched.h>).

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::Netlink;
use super::raw::{Attributes, Raw};
use crate::kernel::trace::{CallError, Trace};

const NEWQDISC: u16 = 36;
const NEWTFILTER: u16 = 44;
/// `TC_H_ROOT`: what leaves by the link.
const ROOT: u32 = 0xffff_ffff;
/// `TC_H_INGRESS`: what comes by it.
const INGRESS: u32 = 0xffff_fff1;
/// The handle of the queue for what comes, `ffff:`.
const INGRESS_HANDLE: u32 = 0xffff_0000;

/// `struct tcmsg` for the link of this index.
fn header(link: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    [0, link, handle, parent, info].map(u32::to_ne_bytes).concat()
}

impl Netlink {
    /// Limits what leaves by a link to so many bytes a second, and so many at once: a token bucket filter
    /// (`tc qdisc add dev LINK root tbf rate … burst … limit …`, tc-tbf(8)). What waits for longer than `limit` bytes is dropped.
    ///
    /// # Errors
    /// `EEXIST` where the link has a queue of its own, `ENOENT` where the kernel has no such queues, `EINVAL` for a burst that is smaller
    /// than a packet, `EPERM` as [`Netlink::set_link`].
    pub fn add_token_bucket(
        &mut self,
        trace: &mut Trace,
        link: u32,
        rate: u64,
        burst: u32,
        limit: u32,
    ) -> Result<(), CallError> {
        const ETHERNET: u8 = 1;
        // `struct tc_tbf_qopt`: twice a `struct tc_ratespec`, then limit, buffer and mtu. With a link layer that is known no table of
        // times is needed, and the burst comes in bytes in an attribute of its own.
        let mut parms = vec![0_u8; 36];
        parms[1] = ETHERNET;
        parms[8..12].copy_from_slice(&u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
        parms[24..28].copy_from_slice(&limit.to_ne_bytes());
        let mut options = Attributes::default().bytes(1, "TCA_TBF_PARMS", &parms, &format!("{{limit={limit}}}"));
        if u32::try_from(rate).is_err() {
            options = options.bytes(4, "TCA_TBF_RATE64", &rate.to_ne_bytes(), &rate.to_string());
        }
        let options = options.number(6, "TCA_TBF_BURST", burst);
        let attributes = Attributes::default().text(1, "TCA_KIND", "tbf").nest(2, "TCA_OPTIONS", &[], options);
        let told = [format!("tcm_ifindex={link}"), "tcm_parent=TC_H_ROOT".to_owned()];
        let raw = Raw::new("RTM_NEWQDISC", NEWQDISC, &header(link, 0x1_0000, ROOT, 0), told, attributes);
        self.change_raw(trace, raw, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Leads all that comes by a link into the queue of another one, such as an ifb (`tc qdisc add dev LINK ingress`, then
    /// `tc filter add dev LINK parent ffff: u32 match u32 0 0 action mirred egress redirect dev OTHER`, tc-mirred(8)).
    ///
    /// # Errors
    /// As [`Self::add_token_bucket`]; `ENOENT` where the kernel lacks the filter or the action.
    pub fn redirect_incoming(&mut self, trace: &mut Trace, link: u32, other: u32) -> Result<(), CallError> {
        const ALL_PROTOCOLS: u16 = 0x3;
        const STOLEN: u32 = 4;
        const EGRESS_REDIRECT: u32 = 1;
        let told = |parent: &str| [format!("tcm_ifindex={link}"), format!("tcm_parent={parent}")];
        let attributes = Attributes::default().text(1, "TCA_KIND", "ingress");
        let queue = header(link, INGRESS_HANDLE, INGRESS, 0);
        let raw = Raw::new("RTM_NEWQDISC", NEWQDISC, &queue, told("TC_H_INGRESS"), attributes);
        self.change_raw(trace, raw, NLM_F_CREATE | NLM_F_EXCL)?;
        // `struct tc_mirred`: index, capab, action, refcnt, bindcnt, eaction, ifindex.
        let parms = [0, 0, STOLEN, 0, 0, EGRESS_REDIRECT, other].map(u32::to_ne_bytes).concat();
        let mirred = Attributes::default().bytes(2, "TCA_MIRRED_PARMS", &parms, &format!("{{ifindex={other}}}"));
        let action = Attributes::default().text(1, "TCA_ACT_KIND", "mirred").nest(2, "TCA_ACT_OPTIONS", &[], mirred);
        let actions = Attributes::default().nest(1, "1", &[], action);
        // `struct tc_u32_sel` with one `struct tc_u32_key`, of which no bit counts: it is there in kernels that have no filter for all.
        const TERMINAL: u8 = 1;
        let mut selector = vec![0; 32];
        (selector[0], selector[2]) = (TERMINAL, 1);
        let options = Attributes::default().bytes(5, "TCA_U32_SEL", &selector, "{match 0 0}");
        let options = options.nest(7, "TCA_U32_ACT", &[], actions);
        let attributes = Attributes::default().text(1, "TCA_KIND", "u32").nest(2, "TCA_OPTIONS", &[], options);
        let info = 1 << 16 | u32::from(ALL_PROTOCOLS.to_be());
        let filter = header(link, 0, INGRESS_HANDLE, info);
        let raw = Raw::new("RTM_NEWTFILTER", NEWTFILTER, &filter, told("ffff:"), attributes);
        self.change_raw(trace, raw, NLM_F_CREATE | NLM_F_EXCL)
    }
}
