"""pitflow: from a microscope recording of pitting corrosion to an answer.

The data flow through the folders in this order::

    acquire -> segment -> link -> measure -> report

``pitflow.run`` joins them; ``pitflow.simulate`` renders recordings whose truth is known.
"""

__version__ = "0.1.0"
