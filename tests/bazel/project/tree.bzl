"""A directory as an output."""

def _tree(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [out],
        command = "mkdir -p {0}/a/b && echo one > {0}/1 && echo two > {0}/a/b/2".format(out.path),
    )
    return [DefaultInfo(files = depset([out]))]

tree = rule(implementation = _tree)
