"""DVC stage `draw_portfolio`: members, formats and devices against each other, as a page, a picture and a table."""

from pathlib import Path

from resnet_ops.console import console, report_errors
from resnet_ops.files import write_json, write_text
from resnet_ops_pipelines.project_params import read_params
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import EXPERIMENT
from resnet_ops_registry.portfolio.csv_file import portfolio_csv
from resnet_ops_registry.portfolio.page import portfolio_page
from resnet_ops_registry.portfolio.picture import draw_portfolio
from resnet_ops_registry.portfolio.publishing import publish_portfolio
from resnet_ops_registry.portfolio.reading import read_portfolio


def main() -> None:
    register, reports = read_params().register, Path("reports/portfolio")
    portfolio = read_portfolio(register.model, Path("reports"))
    page = portfolio_page(portfolio)
    write_text(reports / "index.html", page)
    write_text(reports / "portfolio.svg", draw_portfolio(portfolio))
    write_text(reports / "portfolio.csv", portfolio_csv(portfolio))
    link = ""
    if EXPERIMENT is None:  # the page in MLflow is the project's
        link = publish_portfolio(connect(), register.experiment, portfolio.model, page)
    write_json(reports / "published.json", {"link": link})
    for choice in portfolio.choices:
        console.print(f"{choice.target}: {choice.reason}")


if __name__ == "__main__":
    with report_errors("draw_portfolio"):
        main()
