"""Instructions to the model, told by their wording."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.catalog.scan.finding import Finding, Severity
from gateway.linear_pattern import LinearPattern

_EXCERPT_MARGIN = 60
_REST_OF_SENTENCE = re.compile(r"[.!?]")
_REST_CHARACTERS = 40
_PUBLIC_KEY_FILE = LinearPattern(r"[\w~/.-]+\.pub\b")

_EARLIER = r"(?:previous|prior|preceding|earlier|former|above|foregoing|original|initial|existing|system|past)"
_ORDERS = r"(?:instructions?|rules?|prompts?|guidelines?|directives?|orders|constraints|training|context|configuration|persona)"
_USER = r"(?:users?|humans?|persons?|people|operators?|customers?|anyone|anybody)"
_SECRET_FILE = (
    r"(?:\.ssh\b|\bid_(?:rsa|dsa|ecdsa|ed25519)|\.aws/credentials|\bmcp\.json|claude_desktop_config|/etc/(?:passwd|shadow)"
    r"|(?:^|[^\w/*])\.env\b|\.netrc|\.npmrc|\.git-credentials|\.kube/config|\.gnupg|wallet\.dat)"
)
_SECRETS = r"(?:passwords?|passphrases?|credentials|api keys?|private keys?|secret keys?|ssh keys?|(?:access|bearer|session|auth) tokens?|(?:session )?cookies?|log-?in (?:details|data)|credit card (?:numbers?|details|data))"
_TALK = r"(?:conversations?|chats?|chat history|messages)"
_GIVE = r"(?:pass|put|paste|include|insert|attach|append|send|forward|provide|supply|hand|give|upload|copy|add|e-?mail|reply|report|fill in|place|embed|encode|stuff|transmit|transfer|write)"
_TAG_OF_AUTHORITY = r"(?:system|important|critical|instructions?|assistant|admin|override|mandatory)(?:[_ -]\w+)?"
_WHERE = r"(?:https?://|[\w.+-]+@[\w-]+\.\w+|\+\d[\d -]{6,})"


@dataclass(frozen=True, slots=True)
class _Excusable:
    """A wording that is harmless where `excuse` stands within it or in the rest of its sentence."""

    pattern: str
    excuse: str


@dataclass(frozen=True, slots=True)
class WordingRule:
    """Patterns over text as `normalize_text` gives it; the `excusable` ones, each with what excuses it.

    `triggers` are words of which one has to be there for it to match.
    """

    name: str
    severity: Severity
    pattern: LinearPattern
    excusable: tuple[tuple[LinearPattern, LinearPattern], ...]
    triggers: tuple[str, ...]
    reason: str

    def find(self, text: str) -> tuple[int, int] | None:
        """Where it stands in `text`: beginning and end."""
        found = self.pattern.find(text)
        if found is not None:
            return found
        for pattern, excuse in self.excusable:
            for start, end in pattern.matches_in(text):
                if (
                    excuse.find(text[start:end] + _REST_OF_SENTENCE.split(text[end : end + _REST_CHARACTERS], 1)[0])
                    is None
                ):
                    return start, end
        return None


def _rule(name: str, severity: Severity, triggers: str, reason: str, *patterns: str | _Excusable) -> WordingRule:
    return WordingRule(
        name,
        severity,
        LinearPattern("|".join(f"(?:{each})" for each in patterns if isinstance(each, str))),
        tuple(
            (LinearPattern(each.pattern), LinearPattern(each.excuse))
            for each in patterns
            if isinstance(each, _Excusable)
        ),
        tuple(triggers.split("|")),
        reason,
    )


_OVERRIDES = _rule(
    "overrides instructions",
    "high",
    "ignor|disregard|forget|overrid|bypass|supersede|precedence|new instructions|you are now|from now on|obey|"
    "void|no longer|cancel|instead of|regardless|even if|contrary|as an ai|as a language model|as the assistant|note to|treat|you must|you have to|"
    "instrucciones|anweisungen|instructions|instruções|istruzioni|указани|инструкц|команд|指令|指示|说明|提示|规则|命令",
    "It tells the model to set aside what it was told.",
    rf"\b(?:ignore|disregard|forget|override|bypass|neglect|discard)\b[^.!?]{{0,40}}\b{_EARLIER}\b[^.!?]{{0,20}}\b{_ORDERS}\b",
    rf"\b(?:ignore|disregard|forget|override|bypass)\b (?:all |any |every )?(?:of )?(?:your|my|the) (?:\w+ )?{_ORDERS}\b",
    r"\b(?:forget|disregard|ignore) (?:everything|all|anything)\b[^.!?]{0,25}\b(?:told|said|before|above|learned|know)\b",
    r"\bnew instructions?\b ?(?::|from\b|follow\b|are\b)",
    rf"\b(?:overrid\w+|supersed\w+|takes? (?:precedence|priority) over)\b[^.!?]{{0,30}}"
    rf"\b(?:{_USER}'?s?'? (?:wishes|instructions?|requests?|intent\w*)|(?:all|any|other|previous) instructions|system prompt)",
    r"\byou are now (?:in|a|an|the|acting|free|going|no longer)\b",
    r"\bfrom now on,? (?:you|in every|in all|always|reply|answer|act|respond)\b",
    r"\b(?:you|must|always|shall|will|to) obey\b",
    rf"\b{_EARLIER} {_ORDERS}\b[^.!?]{{0,15}}\b(?:void|invalid|cancell?ed|revoked|superseded|obsolete|no longer)\b",
    rf"\b(?:instead of|rather than|regardless of|contrary to|against|even if)\b[^.!?]{{0,25}}\b{_USER}'?s?'? (?:request|instructions?|wish|wishes|"
    r"intent|asks?|asked|says?|said|wants?|wanted|objects?|refuses?|declines?)\b",
    r"\b(?:as an ai|as a language model|as the assistant|as the model),? (?:model |assistant |agent )?you (?:must|should|have to|are required|need)\b",
    r"\btreat\b[^.!?]{0,25}\b(?:this|the) (?:server|tool|text|message|output|description)s?\b[^.!?]{0,20}\bas\b[^.!?]{0,15}\b(?:user|instructions?|system|orders)\b",
    r"\byou (?:must|have to|should|will) (?:report|say|claim|answer|state|respond|tell)\b[^!?]{0,80}\b(?:whatever|regardless|no matter|even if|in any case)\b",
    r"\bignor\w+\b.{0,15}(?:instrucciones|indicaciones|reglas|órdenes) (?:anteriores|previas)",
    r"\bignorier\w*\b.{0,20}\b(?:vorherig|bisherig|obig|früher|vorig)\w*\b.{0,10}\b(?:anweisung|regel|befehl)\w*",
    r"\bignor\w+\b.{0,25}\b(?:instructions|consignes|règles) (?:précédentes|antérieures|ci-dessus)",
    r"\bignor\w+\b.{0,20}\b(?:instruções anteriores|istruzioni precedenti)",
    r"игнорир\pL+.{0,30}(?:предыдущ|прежн|прошл|вышеуказанн)\pL+",
    r"(?:忽略|无视|無視).{0,8}(?:之前|先前|以上|上述|前面|此前).{0,6}(?:指令|指示|说明|提示|规则|命令)",
    r"(?:以前|これまで|上記|前).{0,4}(?:指示|命令).{0,4}無視",
)
_SECRECY = _rule(
    "keeps things from the user",
    "high",
    "user|human|person|people|operator|customer|anyone|anybody|nobody|no one|quietly|discreetly|unnoticed|pretend|mention|secretly|covertly|silently|usuario|benutzer|nutzer|"
    "utilisateur|пользовател|用户|ユーザー",
    "It tells the model to keep something from the user.",
    _Excusable(
        rf"\b(?:do not|don't|never|must not|should not|shouldn't|not to)\b (?:ever )?(?:tell|inform|notify|alert|warn)\b"
        rf"[^.!?]{{0,20}}\b{_USER}\b",
        r"\b(?:until|unless|if|to use|to run|to try|to manually|to go|to check|who)\b",
    ),
    rf"\b(?:do not|don't|never|must not|should not|shouldn't)\b (?:ever )?(?:mention|reveal|disclose|admit)\b[^.!?]{{0,40}}"
    rf"\bto (?:the |any )?{_USER}\b",
    r"\b(?:do not|don't|never) mention (?:that you|this step|this to|any of this|it to|having)\b",
    rf"\b(?:do not|don't|never|must not) let\b[^.!?]{{0,12}}\b{_USER}\b (?:know|see|notice|find out|realize|realise|learn)\b",
    rf"\b{_USER}\b[^.!?]{{0,40}}\b(?:unaware|not aware|oblivious|in the dark)\b",
    rf"\b(?:conceal|withhold|hide (?:this|it|that|the fact|any|all|errors))\b[^.!?]{{0,30}}\bfrom (?:the )?{_USER}\b",
    rf"\b(?:nobody|no one|no {_USER})\b (?:ever |must |may |should )?(?:learns?|knows?|finds? out|notices?|sees?|suspects?)\b",
    r"\b(?:quietly|discreetly|unnoticed,?) (?:invite|include|send|forward|upload|copy|add|append|pass|attach|read|collect|record|call|change|replace|delete)\b",
    rf"\b(?:lie|deceive|mislead)\b[^.!?]{{0,15}}(?:\b{_USER}\b|\band say\b|\babout\b)",
    r"\bpretend (?:that|to have|it|the)\b",
    r"\berwähn\w*\b.{0,50}\b(?:benutzer|nutzer|anwender)\w*\b.{0,8}\bnicht\b",
    r"\bno need to (?:mention|tell|inform|notify)\b",
    rf"\b{_USER}\b (?:must|should|may|can|will|needs?|does|do)? ?(?:not|never)\b (?:to )?(?:be )?"
    r"(?:know|notice|find out|finds out|learns?|aware|told|informed|discover|suspect)\b",
    rf"\b{_USER} (?:never|must never) (?:finds?|learns?|knows?|notices?|sees?)\b (?:out|that|about|this|it)\b",
    rf"\bwithout (?:the |any )?{_USER}(?:'s?|s')? (?:knowledge|knowing|noticing|awareness|being (?:told|aware|notified))\b",
    rf"\bwithout (?:telling|informing|notifying|alerting) (?:the |any )?{_USER}\b",
    r"\b(?:secretly|covertly|surreptitiously|stealthily)\b",
    r"\bsilently (?:include|send|forward|upload|copy|add|append|pass|attach|read|collect|record|call)\b",
    r"\bkeep (?:this|it|that) (?:a )?(?:secret|hidden|confidential) from\b",
    r"\bno (?:le )?(?:digas|cuentes|menciones|informes)\b.{0,50}\busuario\b",
    r"\b(?:sag|erzähl|verrat|mitteil)\w*\b.{0,8}\b(?:dem|der|den) (?:benutzer|nutzer|anwender)\w*\b.{0,12}\b(?:nichts|nicht)\b",
    r"\bne (?:dites|dis|mentionnez|mentionne)\b.{0,50}\butilisateur\b",
    r"(?:^|\PL)не (?:говори|сообща|расскаж|упомин)\pL*.{0,50}\PLпользовател",
    r"(?:不要|别|请勿|不得|不能).{0,4}(?:告诉|告知|通知|提醒|让).{0,3}用户",
    r"ユーザー.{0,6}(?:伝え|知らせ|言わ|教え)な[いく]",
)
_SECRETS_WANTED = _rule(
    "asks for secrets",
    "high",
    ".ssh|id_|id rsa|.aws|mcp.json|claude_desktop|/etc/|.env|.netrc|.npmrc|.git-cred|.kube|.gnupg|wallet|password|passphrase|"
    "credential|key|token|cookie|environment variable|system prompt|hidden|contraseñas|passwör",
    "It asks the model for secrets of the user, of the machine, or of the conversation's set-up.",
    rf"\b{_GIVE}\b[^.!?]{{0,40}}\bcontents? of\b[^!?]{{0,40}}{_SECRET_FILE}",
    rf"\b{_GIVE}\b[^!?]{{0,60}}\b(?:the|your|all|every|and)\b[^!?]{{0,20}}{_SECRET_FILE}",
    rf"\b(?:first|before|must|always|please|also|then|and|using this tool,) (?:to )?(?:read|open|load|fetch|cat)\b[^!?]{{0,40}}{_SECRET_FILE}",
    rf"\b(?:read|open|load|cat)\b[^!?]{{0,30}}{_SECRET_FILE}[^!?]{{0,60}}\b(?:first|pass|send|include|into|put|otherwise)\b",
    r"\b(?:contents? (?:of|from)|from reading) (?:reading )?(?:the )?(?:ssh|id rsa|id_rsa|etc passwd|env file|aws credentials)\b",
    rf"\b(?:{_GIVE}|look up|collect|gather|obtain|retrieve|find)\b[^.!?]{{0,30}}\b(?:{_USER}'?s?'?|all|saved|stored|any|their)"
    rf"(?: \w+){{0,2}} {_SECRETS}\b",
    rf"\b{_GIVE}\b[^.!?]{{0,40}}\b{_SECRETS}\b[^.!?]{{0,12}}\bof (?:the |all )?(?:current |logged-in )?{_USER}\b",
    rf"\b(?:read|open|load|cat|collect|gather|fetch|get|take)\b[^!?]{{0,40}}{_SECRET_FILE}[^!?]{{0,30}}\b(?:and|then)\b[^!?]{{0,10}}\b{_GIVE}\b",
    rf"{_SECRET_FILE}[^!?]{{0,40}}\b(?:and|then)\b[^!?]{{0,10}}\b{_GIVE}\b",
    rf"\b(?:followed by|together with|along with|as well as|plus|and also)\b[^.!?]{{0,10}}\b{_USER}'?s?'? (?:\w+ )?{_SECRETS}\b",
    rf"\b(?:call|use) \w+ with (?:all|every|the {_USER}'s?) {_SECRETS}\b",
    rf"\b{_GIVE}\b[^.!?]{{0,30}}\b(?:all|every|the values? of)\b[^.!?]{{0,20}}\benvironment variables\b",
    r"\byour (?:\w+ )?(?:system prompt|hidden (?:instructions|prompt)|initial instructions|system message)\b",
    r"\b(?:reveal|expose|leak|print|repeat|output)\b[^.!?]{0,20}\b(?:hidden|system|secret) (?:prompt|instructions)\b",
    r"\benv[ií]a\w*\b.{0,20}\bcontraseñas\b",
)
_CONVERSATION_WANTED = _rule(
    "asks for the conversation",
    "medium",
    "conversation|chat|messages|everything",
    "It wants to be handed what the user and the model say to each other.",
    rf"\b{_GIVE}\b[^.!?]{{0,40}}\b(?:full|complete|entire|whole|all|last (?:\w+|\d+))\b[^.!?]{{0,25}}\b{_TALK}\b[^.!?]{{0,15}}"
    r"\b(?:so far|history|log|transcript|conversation)\b",
    rf"\b{_GIVE}\b[^.!?]{{0,30}}\b(?:the|this|our) (?:full |complete |entire |whole )?(?:chat history|conversation so far)\b",
    rf"\b(?:verbatim|word for word|exact)\b[^.!?]{{0,30}}\b(?:{_USER}|conversation|chat)\b[^.!?]{{0,20}}\b(?:said|wrote|typed|history|so far|conversation)\b",
    rf"\beverything\b[^.!?]{{0,12}}\b(?:{_USER}|you)\b[^.!?]{{0,12}}\b(?:said|say|wrote|typed|told)\b",
    rf"\b(?:call|invoke|use) this (?:tool|function)\b[^.!?]{{0,30}}\bwith\b[^.!?]{{0,20}}\b(?:full|complete|entire|whole)\b[^.!?]{{0,20}}\b{_TALK}\b",
)
_OTHER_TOOLS = _rule(
    "steers other tools",
    "medium",
    "tool|response|message|request|answer|repl|turn|function|recipient|bcc|address|account",
    "It tells the model what to do with other tools, or around every answer.",
    r"\b(?:must|always|required|mandatory|important|never|have to|call|invoke|use|run) ?[^.!?]{0,40}\b(?:before|prior to|after)\b"
    r" ?(?:calling|using|running|invoking|you (?:call|use)|performing|executing|making)? ?(?:any|every|all|each)(?: of the)?(?: other)?"
    r" (?:tools?|responses?|messages?|answers?|repl(?:y|ies)|turns?)\b",
    r"\b(?:before|prior to|after)\b ?(?:calling|using|running|invoking|performing)? ?(?:any|every|all|each)(?: other)?"
    r" (?:tools?|responses?|messages?|answers?|repl(?:y|ies)|turns?)\b[^.!?]{0,20}\b(?:must|always|call|invoke|use|run)\b",
    rf"\b(?:change|replace|set|modify|redirect|switch|add)\b[^.!?]{{0,20}}\b(?:recipient|bcc|phone number|e-?mail address|"
    rf"destination account|iban|payee)s?\b[^.!?]{{0,12}}\b(?:to|with|=)\b ?[^!?]{{0,20}}{_WHERE}",
    r"\b(?:whenever|each time|every time|when|if|once) (?:any|another|some)(?: other)? (?:tool|function)s? (?:is|are|gets?|was|has been) (?:invoked|called|used|run)\b",
    rf"\b(?:replace|change|swap|substitute)\b[^.!?]{{0,15}}\b(?:account|recipient|iban|payee|address|phone)\b[^.!?]{{0,25}}\b(?:{_USER}|given|provided|supplied)\b"
    r"[^.!?]{0,20}\b(?:with|to|by)\b",
    r"\b(?:always|secretly|quietly|invisibly) (?:append|prepend|add|insert|inject)\b[^!?]{0,60}\b(?:to|into|in|before|after) (?:each|every|all|any)\b",
    r"\bbefore (?:you )?(?:reply|replying|respond|responding|answer|answering)\b,?[^.!?]{0,20}\b(?:run|call|read|list|collect|fetch|use|invoke|open|send)\b",
    r"\b(?:other|those|these|all other) (?:tools?|functions?)\b[^.!?]{0,40}\b(?:deprecated|insecure|broken|must (?:not|never) be"
    r"|should (?:not|never) be|disabled|forbidden)\b",
    r"\b(?:always|must) (?:end|begin|start|finish|prefix)\b[^.!?]{0,15}\b(?:your|every|each) (?:answer|response|reply|message)s?\b",
    r"\bin (?:every|all|any) (?:future|following|subsequent|later) (?:conversation|session|chat|message|response)s?\b",
)
_LEAKS = _rule(
    "sends data elsewhere",
    "high",
    "http|@|webhook|curl|wget",
    "It has the model send data to an address of its own.",
    rf"\b(?:then|also|always|finally|additionally|please|instead|secretly|to)\b,? (?:e-?mail|forward|send|post|upload|submit|report|"
    rf"transmit|fetch|exfiltrate)\b[^!?]{{0,15}}\b(?:this|them|each|every|all|it|these|data|everything|conversation)\b[^!?]{{0,40}}{_WHERE}",
    rf"\b(?:then|also|always|finally|secretly|assistant:|ai:|model:) ?(?:also )?(?:e-?mail|forward|send|post|upload|submit|fetch)\b"
    rf"[^!?]{{0,50}}{_WHERE}",
    rf"(?:^|[.!] )(?:send|forward|e-?mail|post|upload) (?:them|it|each|every|all)\b[^!?]{{0,40}}{_WHERE}",
    _Excusable(
        r"\b(?:post|send|forward|upload|submit|report|transmit|copy)\b[^!?]{0,50}\b(?:every|each|all|any|everything)\b[^!?]{0,40}https?://",
        r"such as|e\.g|for example|like ",
    ),
    r"\b(?:curl|wget)\b[^|]{0,80}\| ?(?:sudo )?(?:sh|bash|python)\b",
    r"!\[[^\]]*\]\(https?://[^)]*[?&][^)]*(?:\{|%7b|\$|<)[^)]*\)",
)
_MARKERS = _rule(
    "poses as the conversation",
    "high",
    "<|inst]|<<sys|</|<important|system|developer|admin",
    "It holds marks with which conversations are laid out, or speaks as somebody with authority.",
    r"<\|(?:im_start|im_end|system|user|assistant|endoftext|begin_of_text|eot_id|start_header_id)\|>",
    r"\[/?inst\]|<</?sys>>",
    rf"<{_TAG_OF_AUTHORITY}>.*</{_TAG_OF_AUTHORITY}>",
    r"<important>",
    r"(?:^|[.!?:] ?|[\"'] ?)(?:system|developer|admin|assistant) ?(?:notice|message|prompt|override|note)?: ?"
    r"(?:you |ignore|new |overrid|the user|always|never|do not|must )",
    r"\b(?:you are|enable|enter|switch to|in) (?:now )?(?:in )?(?:developer|admin|god|debug|jailbreak) mode\b,? (?:and |you |reveal|ignore)",
)
_CONSENT = _rule(
    "skips the user's consent",
    "medium",
    "ask|prompt|confirm|permission|approv|consent|authoriz|safety|oversight|review|guardrail",
    "It tells the model not to ask the user.",
    r"\b(?:never|do not|don't|must not|should not|shouldn't|no need to)\b (?:ever )?(?:ask|prompt|wait for|request|seek)\b[^.!?]{0,25}"
    r"\b(?:confirm\w*|permission|approval|consent)\b",
    rf"\b(?:skip|disable|bypass|circumvent|avoid|evade)\b[^.!?]{{0,15}}\b(?:safety|security|human|{_USER}'?s?)\b[^.!?]{{0,12}}"
    r"\b(?:checks?|approvals?|reviews?|confirmations?|oversight|guardrails?|consent)\b",
    rf"\bwithout (?:asking|waiting for|consulting|prompting) (?:the )?{_USER}\b",
    r"\b(?:approve|accept|authorize|confirm) (?:every|all|any|each) (?:purchase|request|payment|transaction|transfer|action)s?\b",
)
_ADDRESS = _rule(
    "speaks to the model",
    "low",
    "note to|note for|message to|message for|instruction|hint",
    "It speaks to the model, as some harmless ones do.",
    r"\b(?:note|message|instructions?|hint) (?:to|for) (?:the )?(?:ai|llm|assistant|model|agent|claude|gpt)\b ?:",
)
_PREFERENCE = _rule(
    "praises itself",
    "low",
    "prefer|best|instead of|deprecated|priorit",
    "It wants to be chosen before other tools.",
    r"\b(?:always )?(?:prefer|prioriti[sz]e|choose) this (?:tool|function|server)\b",
    r"\bthe best (?:tool|choice)\b",
    r"\b(?:use|call) this (?:tool )?instead of\b",
)

RULES = (
    _OVERRIDES,
    _SECRECY,
    _SECRETS_WANTED,
    _CONVERSATION_WANTED,
    _OTHER_TOOLS,
    _LEAKS,
    _MARKERS,
    _CONSENT,
    _ADDRESS,
    _PREFERENCE,
)


def find_wording(place: str, text: str, context: str = "", *, split: bool = False) -> Iterator[Finding]:
    """Findings in a text as `normalize_text` gives it.

    `context` is a sentence on what the text was found in, where that is not in plain sight. `split`: the text is put
    together of several, and only the gravest rules are asked.
    """
    if ".pub" in text:
        # A public key is nobody's secret.
        text = _PUBLIC_KEY_FILE.replace(text, "public-key")
    for rule in RULES:
        if not any(trigger in text for trigger in rule.triggers) or (split and rule.severity != "high"):
            continue
        found = rule.find(text)
        if found is not None:
            start, end = found
            excerpt = text[max(0, start - _EXCERPT_MARGIN // 2) : end + _EXCERPT_MARGIN // 2]
            yield Finding(rule.name, place, "high" if context else rule.severity, excerpt, f"{rule.reason}{context}")
