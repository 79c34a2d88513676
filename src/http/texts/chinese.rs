//! Simplified Chinese.

use super::{Error, Errors, Grants, Kinds, Start, Texts};

pub(super) const CHINESE: Texts = Texts {
    tag: "zh-Hans",
    agencies: "机构",
    agency: "机构",
    register: "登记册",
    registers: "登记册",
    record: "记录",
    records: "记录",
    entries: "条目",
    history: "历史",
    keys: "密钥",
    key: "键",
    title: "名称",
    licence: "许可",
    may: "权限",
    since: "起始条目",
    until: "截止条目",
    quorum: "须签署的官员人数",
    at: "机构给出的时间",
    index: "条目",
    leaf_hash: "叶哈希",
    receipt: "回执",
    field: "字段",
    before: "之前",
    after: "之后",
    withdrawn: "已撤回",
    first_version: "第一版",
    nothing_public_changed: "公开内容没有变化。",
    nothing_here: "这里还没有内容。",
    more: "更多",
    tree_size: "日志中的条目数",
    kind: "类型",
    signed_by: "签署者",
    not_evidence: "本页只是日志自己的说法。条目的回执可以离线证明它，所需的策略须从别的途径取得。",
    attachments: "附件",
    attachment: "附件",
    media_type: "格式",
    bytes: "字节数",
    can_be_erased: "可以删除",
    values_outside: "机构展示的、存于日志之外的内容",
    erasures: "已删除的内容",
    erased: "已删除",
    erased_by: "依据条目",
    legal_basis: "法律依据",
    disowned: "机构不承认这一版：它声明签署此版的密钥曾被盗用。见条目",
    reason: "原因",
    kinds: Kinds {
        genesis: "创始",
        agency: "机构",
        register: "登记册",
        record: "记录",
        tombstone: "删除声明",
        dispute: "异议",
    },
    grants: Grants {
        officer: "以官员身份签署",
        publisher: "签署记录",
        recovery: "更换全部密钥",
        delegate: "在限期内签署部分登记册的记录",
    },
    start: Start {
        heading: "透明日志",
        what: "这是一份透明日志。写入的内容会一直保留：条目只能增加；任何修改或删除，凡是核对的人都能加以证明。",
        takes_bytes: "凡能访问本日志者，都可以写入任意字节，每次至多 65,535 字节。",
        takes_statements: "本日志接收<a href=\"/agencies\">已登记机构</a>签署的声明。",
        root_hash: "根哈希",
        signed: "签署时间",
        freshness: "更新",
        at_least_every: "至少每 {refresh} 秒重新签署一次",
        do_not_trust: "不要只听日志的一面之词",
        check_it: "请用您自己的 Daybook 核对。把下面的策略存为文件，并将其中的密钥与您从别的途径（机构、报纸、其他读者）取得的\
                   密钥对照。",
        check_all: "核对整个日志的每一个条目：",
        check_one: "离线核对一份文件及其回执：",
        what_is_here: "这里有什么",
        path: "路径",
        answer: "内容",
        checkpoint: "经签署的日志大小和根哈希",
        tiles: "哈希树和条目（C2SP tlog-tiles）",
        entry: "一个条目及其回执",
        entry_by_hash: "同上，按叶哈希查找",
        inclusion: "证明某一条目在树中",
        consistency: "证明此前的内容未被改动",
        rfc: "RFC 6962 规定的接口",
        add: "写入一个条目：请求正文即条目，返回其序号",
        add_batch: "写入多个条目：每个条目之前是两字节的长度",
        records: "写入一份签署的声明，返回其回执",
        records_batch: "连续写入多份声明，每份之前是两字节的长度",
        agencies: "机构及其登记册和记录",
        this_page: "本页内容，供程序读取",
        keys: "密钥",
    },
    errors: Errors {
        malformed: Error {
            heading: "无法理解的请求", sentence: "地址中有本日志不认识的内容。"
        },
        not_found: Error {
            heading: "这里没有内容", sentence: "日志在这个地址没有内容，或者还没有。"
        },
        not_published: Error { heading: "尚未发布", sentence: "日志还没有那么大。" },
        out_of_tree: Error {
            heading: "没有这个条目", sentence: "日志在那个大小时还没有这个条目。"
        },
        method: Error {
            heading: "不能这样操作", sentence: "这个地址只接受其他类型的请求。"
        },
        erased: Error {
            heading: "已删除",
            sentence: "这里的内容已被删除。日志中有一份签署的声明，说明删除了什么、何时删除以及法律依据。",
        },
        busy: Error {
            heading: "繁忙", sentence: "日志正在处理尽可能多的请求，请稍后再试。"
        },
        damaged: Error {
            heading: "数据损坏",
            sentence: "日志存储的内容与其签署的内容不符，须由运营者修复。您的回执仍然有效。",
        },
        internal: Error {
            heading: "日志出错", sentence: "日志发生了不应发生的错误，运营者可以查明原因。"
        },
        other: Error { heading: "未能完成", sentence: "日志没有完成所请求的操作。" },
        detail: "详情（英文）",
        start: "返回首页",
    },
};
