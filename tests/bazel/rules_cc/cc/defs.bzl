"""What Bazel's own files load from rules_cc, made of the rules that are built into Bazel."""

_PERMISSION = "__CC_RULES_MIGRATION_DO_NOT_USE_WILL_BREAK__"

def _permitted(kwargs):
    return dict(kwargs, tags = kwargs.get("tags", []) + [_PERMISSION])

def cc_binary(**kwargs):
    native.cc_binary(**_permitted(kwargs))

def cc_import(**kwargs):
    native.cc_import(**_permitted(kwargs))

def cc_library(**kwargs):
    native.cc_library(**_permitted(kwargs))

def cc_test(**kwargs):
    native.cc_test(**_permitted(kwargs))

def cc_toolchain(**kwargs):
    native.cc_toolchain(**_permitted(kwargs))

def cc_toolchain_suite(**kwargs):
    native.cc_toolchain_suite(**_permitted(kwargs))

def fdo_prefetch_hints(**kwargs):
    native.fdo_prefetch_hints(**_permitted(kwargs))

def fdo_profile(**kwargs):
    native.fdo_profile(**_permitted(kwargs))

def objc_import(**kwargs):
    native.objc_import(**_permitted(kwargs))

def objc_library(**kwargs):
    native.objc_library(**_permitted(kwargs))

def cc_flags_supplier(**_kwargs):
    pass

def compiler_flag(**_kwargs):
    pass
