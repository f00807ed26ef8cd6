"""The configuration of a run: its settings; reading, checking, explaining and writing them."""

from .load import (
    TEMPLATE,
    build_config,
    build_table,
    load_config,
    parse_overrides,
    read_settings,
)
from .role_settings import JudgeConfig, RoleConfig
from .roles import (
    NO_KEY,
    api_key,
    base_url,
    check_role,
    hosted_model,
    is_program,
    key_variable,
    reply_options,
    response_format,
)
from .sampling import (
    describe_temperature,
    is_streamed,
    model_facts,
    retirement,
    sampling_settings,
)
from .schema import (
    BaselineConfig,
    BudgetConfig,
    CacheConfig,
    Config,
    DecodeConfig,
    FilterConfig,
    InputConfig,
    MetadataConfig,
    QualityConfig,
    RetryPolicy,
    SizeConfig,
)
from .secrets import header_variables, read_headers
from .toml import to_toml
from .values import ConfigError, Count, RoleName, SettingsTable

__all__ = [
    "NO_KEY",
    "TEMPLATE",
    "BaselineConfig",
    "BudgetConfig",
    "CacheConfig",
    "Config",
    "ConfigError",
    "Count",
    "DecodeConfig",
    "FilterConfig",
    "InputConfig",
    "JudgeConfig",
    "MetadataConfig",
    "QualityConfig",
    "RetryPolicy",
    "RoleConfig",
    "RoleName",
    "SettingsTable",
    "SizeConfig",
    "api_key",
    "base_url",
    "build_config",
    "build_table",
    "check_role",
    "describe_temperature",
    "header_variables",
    "hosted_model",
    "is_program",
    "is_streamed",
    "key_variable",
    "load_config",
    "model_facts",
    "parse_overrides",
    "read_headers",
    "read_settings",
    "reply_options",
    "response_format",
    "retirement",
    "sampling_settings",
    "to_toml",
]
