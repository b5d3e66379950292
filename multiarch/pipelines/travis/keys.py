"""Keys of a ``.travis.yml``.

Source: check_jsonschema/builtin_schemas/vendor/travis.json (without its ``opt_release``, a slip), and schema.json of
https://github.com/travis-ci/travis-yml for the keys and aliases that the former lacks.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PHASES = (
    *("before_install", "install", "before_script", "script", "before_cache"),
    *("after_success", "after_failure", "before_deploy", "after_deploy", "after_script"),
)

# The top level may give several values to each of these and to env, and each combination is a job, in this order.
AXES = (
    *("os", "arch", "compiler", "osx_image", "jdk", "crystal", "dotnet", "mono", "solution", "d", "dart"),
    *("dart_task", "elixir", "otp_release", "elm", "node_js", "go", "hhvm", "php", "ghc", "haxe", "julia"),
    *("matlab", "nix", "perl", "perl6", "python", "r", "rvm", "gemfile", "xcode_scheme", "xcode_sdk", "rust"),
    *("scala", "smalltalk", "smalltalk_config", "smalltalk_vm"),
)

_SHARED = _words(
    """
    addons android apt_packages arch bioc bioc_check bioc_packages bioc_required bioc_use_devel branches
    brew_packages bundler_args cache compiler composer_args cran crystal d dart dart_task deploy disable_homebrew
    dist dotnet elixir elm elm-format elm-test elm_format elm_test env erlang gemfile gemfiles ghc gimme_config git
    go go_import_path gobuild_args group haxe hhvm hxml if jdk julia keep_netrc keys language latex lein matlab mono
    neko nix node node_js npm_args os osx_image otp_release pandoc pandoc_version perl perl6 php podfile python r
    r_binary_packages r_build_args r_check_args r_check_revdep r_github_packages r_packages rbenv remotes repos ruby
    rust rvm sbt_args scala services smalltalk smalltalk_config smalltalk_edge smalltalk_vm solution sudo use_bioc
    vault virt virtual_env virtualenv vm warnings_are_errors with_content_shell workspaces xcode_destination
    xcode_project xcode_scheme xcode_sdk xcode_workspace xctool_args
    """
)
_OF_ROOT = _words(
    """
    conditions filter_secrets import jobs matrix merge_mode notifications perforce_test_path stack stages trace
    version
    """
)
_OF_JOB = frozenset({"allow_failure", "name", "stage"})

ROOT_KEYS = _SHARED | _OF_ROOT | set(PHASES)
JOB_KEYS = _SHARED | _OF_JOB | set(PHASES)
# `branch` is from before there were conditions.
ALLOWED_FAILURE_KEYS = JOB_KEYS | {"branch"}
JOBS_KEYS = frozenset({"include", "exclude", "allow_failures", "allowed_failures", "fast_finish", "fast_failure"})
STAGE_KEYS = frozenset({"name", "if"})
