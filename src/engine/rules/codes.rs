//! Stable codes of findings. Each has a page in `explain.rs` and a case under
//! `tests/configs/invalid/`; a test says so.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $code;)*
        /// All of them, in order.
        pub const ALL: &[&str] = &[$($code),*];
    };
}

codes! {
    /// The text is not TOML.
    SYNTAX = "SB0101";
    /// A key stands twice.
    DUPLICATE_KEY = "SB0102";
    /// A key nobody knows.
    UNKNOWN_KEY = "SB0103";
    /// A key that is due.
    MISSING_KEY = "SB0104";
    /// Part of the language, but not of this version.
    NOT_YET = "SB0105";
    /// A string where a number is due, and the like.
    WRONG_TYPE = "SB0106";
    /// A schema this version does not read.
    SCHEMA = "SB0107";
    /// `extends` names no pipeline.
    UNKNOWN_PARENT = "SB0108";
    /// `extends` leads back.
    EXTENDS_CYCLE = "SB0109";
    /// A file that cannot be read.
    UNREADABLE_FILE = "SB0110";
    /// Keys that exclude one another.
    CONFLICT = "SB0111";
    /// `"unset"` where nothing was inherited.
    NOTHING_TO_UNSET = "SB0112";

    /// No such agent.
    UNKNOWN_AGENT = "SB0201";
    /// No such gate.
    UNKNOWN_GATE = "SB0202";
    /// No such counter.
    UNKNOWN_COUNTER = "SB0203";
    /// No such stage.
    UNKNOWN_STAGE = "SB0204";
    /// No such signal.
    UNKNOWN_SIGNAL = "SB0205";
    /// No such message.
    UNKNOWN_MESSAGE = "SB0206";
    /// No such prompt.
    UNKNOWN_PROMPT = "SB0207";
    /// No such script or function.
    UNKNOWN_SCRIPT = "SB0208";
    /// No such entry of `auto`.
    UNKNOWN_AUTO = "SB0209";
    /// A name that cannot be one.
    BAD_NAME = "SB0210";
    /// Defined and never used.
    UNUSED = "SB0211";
    /// One name for two things.
    AMBIGUOUS = "SB0212";
    /// No such hook.
    UNKNOWN_HOOK = "SB0213";
    /// No such watch.
    UNKNOWN_WATCH = "SB0214";
    /// No such program.
    UNKNOWN_PROGRAM = "SB0215";

    /// `flow` must go from `created` to `done`.
    FLOW_ENDS = "SB0301";
    /// A stage stands twice in `flow`.
    STAGE_TWICE = "SB0302";
    /// An outcome that nothing answers.
    NO_EDGE = "SB0303";
    /// An edge that nothing can reach.
    DEAD_EDGE = "SB0304";
    /// An edge to a later stage.
    FORWARD_EDGE = "SB0305";
    /// A return that nothing bounds.
    UNBOUNDED = "SB0306";
    /// Two writers in one stage.
    TWO_WRITERS = "SB0307";
    /// A human gate that nobody can pass.
    MUTE_GATE = "SB0308";
    /// Gates that are made of one another.
    GATE_CYCLE = "SB0309";
    /// A stage that must be empty is not.
    END_STAGE = "SB0310";
    /// The serial gate guards a stage it cannot.
    GUARD = "SB0311";
    /// A waiting outcome cannot lead anywhere.
    WAITING_EDGE = "SB0312";
    /// There is no previous stage.
    NO_PREVIOUS = "SB0313";
    /// An edge that does not say where the task goes.
    IDLE_EDGE = "SB0314";
    /// A gate that can never say `ok`.
    NO_PATH = "SB0315";
    /// A counter larger than the run budget.
    COUNTER_BUDGET = "SB0316";
    /// A critical window without a bound.
    NO_BOUND = "SB0317";
    /// A second merge.
    MERGE_TWICE = "SB0318";
    /// An invariant about what is not there.
    INVARIANT = "SB0319";
    /// A human gate that wants more people than there are.
    QUORUM = "SB0320";
    /// A human gate that waits for a signal of the engine's own.
    OWN_SIGNAL = "SB0321";

    /// Not a duration.
    DURATION = "SB0401";
    /// Out of range.
    RANGE = "SB0402";
    /// Not one of the words allowed.
    CHOICE = "SB0403";
    /// A regular expression that does not compile.
    REGEX = "SB0404";
    /// A regular expression that matches everything.
    REGEX_EMPTY = "SB0405";
    /// A path that leaves its folder.
    PATH = "SB0406";
    /// A branch template that makes illegal names.
    BRANCH_ILLEGAL = "SB0407";
    /// A branch template that can name a protected branch.
    BRANCH_PROTECTED = "SB0408";
    /// A placeholder nobody fills.
    PLACEHOLDER = "SB0409";
    /// The default branch is not protected.
    UNPROTECTED = "SB0410";
    /// A pattern that is no glob.
    GLOB = "SB0411";
    /// Empty where something is due.
    EMPTY = "SB0412";
    /// No such fact.
    FACT = "SB0413";
    /// A status or comment is mapped twice.
    MAPPED_TWICE = "SB0414";
    /// A status is shown and is a signal.
    STATUS_BOTH = "SB0415";
    /// A variable that the project does not define.
    UNKNOWN_VAR = "SB0416";
    /// A maintenance command that removes what is in use.
    PRUNE = "SB0417";
    /// A gate asks for a file that nobody may write.
    UNWRITTEN = "SB0418";

    /// A script does not compile.
    SCRIPT = "SB0501";
    /// A function takes another number of arguments.
    ARITY = "SB0502";
    /// A message template is wrong.
    MESSAGE = "SB0503";
    /// A prompt template is wrong.
    PROMPT = "SB0504";
    /// A script calls a function that there is not.
    UNKNOWN_CALL = "SB0505";
    /// A script calls a function with another number of arguments.
    CALL_ARITY = "SB0506";
    /// A script compares values of different types.
    MIXED = "SB0507";
    /// A script returns what its gate does not declare.
    UNDECLARED_OUTCOME = "SB0508";
    /// A script reads a field that the fact does not have.
    UNKNOWN_FIELD = "SB0509";
    /// A script exceeds a limit.
    SCRIPT_LIMIT = "SB0510";
    /// An outcome is declared and never returned.
    NEVER_RETURNED = "SB0511";
    /// A script's own arguments are not those that it reads.
    SCRIPT_ARGS = "SB0512";

    /// Two projects share a prefix or a repository.
    SHARED = "SB0601";
    /// A project's pipeline is not there, or has no flow.
    PROJECT_PIPELINE = "SB0602";
    /// A secret stands in clear.
    SECRET = "SB0603";
    /// An agent of a project has no command.
    NO_COMMAND = "SB0604";
    /// A `set` key leads nowhere.
    SET_KEY = "SB0605";
    /// A listen address that is none, or is open without a token.
    LISTEN = "SB0606";
    /// An agent's command cannot be executed here.
    NOT_EXECUTABLE = "SB0607";

    /// An inline `allow` that is not one.
    ALLOW_FORM = "SB0701";
    /// An inline `allow` of what cannot be allowed.
    ALLOW_CODE = "SB0702";
    /// An inline `allow` whose time is over.
    ALLOW_EXPIRED = "SB0703";
    /// An inline `allow` that nothing needs.
    ALLOW_UNUSED = "SB0704";

    /// A task can get stuck.
    STUCK = "SB0801";
    /// A stop does not end a task, or leaves something of it.
    NOT_STOPPED = "SB0802";
    /// A job, a lease or a merge that must not be.
    UNSAFE = "SB0803";
    /// Agents can be run without end.
    ENDLESS = "SB0804";
    /// An invariant of the project does not hold.
    INVARIANT_BROKEN = "SB0805";
    /// The proof could not be finished.
    UNPROVED = "SB0806";
}

/// Codes that can be warnings; only warnings can be silenced by an inline `allow`.
pub const WARNINGS: &[&str] = &[NOTHING_TO_UNSET, UNUSED, NO_BOUND, NEVER_RETURNED, NOT_EXECUTABLE, UNPROVED];
