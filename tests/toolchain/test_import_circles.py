"""No module imports itself over others, not even for its types."""

from graphlib import TopologicalSorter

import grimp


def test_the_modules_can_be_put_in_order():
    graph = grimp.build_graph("yivideo_pipeline")
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle
