"""Every message that may cross a link: a closed set per link and direction, a module per link.

Past tense (``TaskFailed``) tells what happened, imperative (``LaunchMapTask``) says what to do. A message is
a frozen dataclass; ``blfs_mr.wire.codec`` derives its validation from the annotations. The unions at the end
of each module are the whole vocabulary of each direction: anything else is refused by name. A comment
``-> Reply`` marks a request and what answers it; one that cannot be met is answered with ``Refused``.

A module per link, and nothing imported here, because making these classes is most of what a task process'
start would cost, and it speaks on one link only.
"""
