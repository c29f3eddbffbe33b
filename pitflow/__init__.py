"""pitflow: from a microscope recording of pitting corrosion to an answer.

The data flow through the folders in this order::

    acquire -> segment -> link -> measure -> report

``pitflow.run`` joins them; ``pitflow.simulate`` renders recordings whose truth is known. From
Python or a notebook::

    from pitflow.results import open_results
    from pitflow.run import run

    run("video.avi")
    results = open_results("video.pitflow")
    results.table("pits")
"""

__version__ = "0.1.0"
